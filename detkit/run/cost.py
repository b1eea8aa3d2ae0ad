"""What a step takes, as ``detkit estimate`` tells it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """What a step takes.

    Args:
        seconds: its time; None where nothing was measured.
        kept: bytes that stay.
        temporary: bytes that are needed beside them while it runs.
        unknown: what the figures leave out.
    """

    seconds: float | None = 0.0
    kept: int = 0
    temporary: int = 0
    unknown: str = ""
