"""The cost of a step, for ``detkit estimate``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """The time and disk space that a step takes.

    Args:
        seconds: its time; None if it was not measured.
        kept: bytes of its result.
        temporary: additional bytes that it needs while it runs.
        unknown: what the figures leave out.
    """

    seconds: float | None = 0.0
    kept: int = 0
    temporary: int = 0
    unknown: str = ""
