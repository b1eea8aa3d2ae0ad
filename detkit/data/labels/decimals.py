"""The text of numbers in label files, which stays the same after a conversion there and back."""

from __future__ import annotations

SLACK = 1e-6
"""Pixels; what one conversion loses in arithmetic is far less, and no tool labels as finely."""


def pixels(value: float) -> float:
    """A coordinate with at most 3 decimals if the error is within SLACK, else with 9."""
    short = round(value, 3)
    return short if abs(short - value) < SLACK else round(value, 9)


def share(value: float, side: int) -> str:
    """A share of an image's side with 6 decimals, as in YOLO, if the error is within SLACK, else with 12."""
    short = round(value, 6)
    return f"{short:.6f}" if abs(short - value) * side < SLACK else f"{value:.12f}"


def number_text(value: float) -> str:
    """The shortest text that reads as this number: 48, not 48.0."""
    return str(int(value)) if value == int(value) else repr(value)
