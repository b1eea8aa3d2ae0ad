"""The ranges that config keys are annotated with, as ``Annotated[float, Positive]``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Range:
    """The allowed numbers, or numbers of entries.

    Args:
        text: the range in words, for messages.
        low: smallest value, or None.
        high: largest value, or None.
        open_low: whether ``low`` itself is excluded.
        of: returns the number to check for a value that is no number itself.
    """

    text: str
    low: float | None = None
    high: float | None = None
    open_low: bool = False
    of: Callable[[Any], float] = float

    def __contains__(self, given: Any) -> bool:
        value = self.of(given)
        if self.low is not None and (value < self.low or (self.open_low and value == self.low)):
            return False
        return self.high is None or value <= self.high


Positive = Range("greater than 0", low=0, open_low=True)
NonNegative = Range("0 or more", low=0)
Fraction = Range("from 0 to 1", low=0, high=1)
Filled = Range("(at least one entry)", low=1, of=len)
"""Lists that are not empty."""
