from __future__ import annotations

import pytest

from detkit.evaluation.bootstrap import Interval
from detkit.study.text import Text
from detkit.study.verdict import MEAN_AP, Verdict


@pytest.mark.parametrize(
    ("interval", "word", "said"),
    [
        (
            Interval(2, 0.1, 4),
            "holds",
            "50.0: +2.0 points, 95 % interval +0.1 to +4.0. That the first is better holds",
        ),
        (Interval(-2, -4, -0.1), "does not hold", "That the first is better does not hold here."),
        (Interval(2, -0.1, 4), "cannot be told", "cannot be told here: the interval of the difference holds 0."),
        (Interval(2, 0, 4), "cannot be told", "cannot be told here"),
    ],
)
def test_the_direction_is_taken_from_the_interval(interval, word, said):
    names = {"better": Text("SVM"), "worse": Text("softmax"), "a": 52.0, "b": 50.0}
    verdict = Verdict.of(Text("SVM > softmax"), interval, MEAN_AP, **names)
    assert verdict.word == word
    assert said in verdict.sentence.en
    assert "SVM" in verdict.sentence.zh and "区间" in verdict.sentence.zh
