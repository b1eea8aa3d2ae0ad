"""Whether a claim holds, from the interval of a difference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from detkit.evaluation.bootstrap import Interval
from detkit.study.text import Text

HOLDS = Text("holds here", "，在这里成立")
DOES_NOT_HOLD = Text("does not hold here", "，在这里不成立")
CANNOT_BE_TOLD = Text(
    "cannot be told here: the interval of the difference holds 0", "与否，在这里无法判断：差值的区间包含 0"
)

MEAN_AP = Text(
    '"{better}" reaches {a:.1f} mAP, "{worse}" {b:.1f}: {d:+.1f} points, 95 % interval {low:+.1f} to {high:+.1f}. '
    "That the first is better {verdict}.",
    "“{better}”的 mAP 为 {a:.1f}，“{worse}”为 {b:.1f}：相差 {d:+.1f} 个百分点，"
    "95 % 区间为 {low:+.1f} 到 {high:+.1f}。前者更好{verdict}。",
)


@dataclass(frozen=True)
class Verdict:
    """A claim with the verdict of the runs.

    Args:
        claim: the claim in a few words.
        difference: a difference that is above 0 if the claim is true.
        sentence: the claim with its numbers and the verdict.
    """

    claim: Text
    difference: Interval
    sentence: Text

    @classmethod
    def of(cls, claim: Text, difference: Interval, template: Text, **values: Any) -> Verdict:
        """A claim with a sentence from a template; it may use ``d``, ``low``, ``high``, ``verdict`` and the values."""
        numbers = {"d": difference.value, "low": difference.low, "high": difference.high}
        return cls(claim, difference, template.format(**numbers, verdict=verdict_of(difference), **values))

    @property
    def word(self) -> str:
        """The verdict in JSON."""
        return {HOLDS: "holds", DOES_NOT_HOLD: "does not hold"}.get(verdict_of(self.difference), "cannot be told")


def verdict_of(difference: Interval) -> Text:
    """The verdict of an interval on the claim that the difference is above 0."""
    if difference.low > 0:
        return HOLDS
    return DOES_NOT_HOLD if difference.high < 0 else CANNOT_BE_TOLD
