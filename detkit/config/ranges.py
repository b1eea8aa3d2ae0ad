"""The ranges that hyper-parameters are annotated with, as ``Annotated[float, Positive]``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Range:
    """The numbers that are allowed.

    Args:
        text: the range in words, for messages.
        low: least value, or None.
        high: greatest value, or None.
        open_low: True leaves ``low`` itself out.
    """

    text: str
    low: float | None = None
    high: float | None = None
    open_low: bool = False

    def __contains__(self, value: float) -> bool:
        if self.low is not None and (value < self.low or (self.open_low and value == self.low)):
            return False
        return self.high is None or value <= self.high


Positive = Range("greater than 0", low=0, open_low=True)
NonNegative = Range("0 or more", low=0)
Fraction = Range("from 0 to 1", low=0, high=1)
