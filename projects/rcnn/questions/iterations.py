"""Iterated box regression."""

from __future__ import annotations

from detkit.config.node import Config
from detkit.registry import QUESTIONS
from detkit.study.comparison import Claim
from detkit.study.setting import Setting
from detkit.study.text import Text

from .common import Compared

TIMES, RESCORE = "POSTPROCESS.REFINE_ITERATIONS", "POSTPROCESS.RESCORE"


@QUESTIONS.register(name="q3.9")
class Iterated(Compared):
    """Box regression once and twice. Source: R-CNN, appendix C."""

    title = Text("Why is box regression not iterated at test time?", "测试时边框回归为什么只做一次？")
    source = "appendix C"
    said = Text(
        "The paper found that iterating does not improve results, and gives no figure.",
        "论文发现多次迭代没有改善结果，没有给出数字。",
    )
    ious = (0.5, 0.7)
    claims = (Claim("twice", "once"), Claim("twice, scored again", "once"))

    def settings(self, config: Config) -> list[Setting]:
        """Settings with one iteration, with new crops, and with new crops and scores."""
        lines = {
            Text("once", "一次"): {},
            Text("twice", "两次"): {TIMES: 2},
            Text("twice, scored again", "两次，重新打分"): {TIMES: 2, RESCORE: True},
            Text("three times, scored again", "三次，重新打分"): {TIMES: 3, RESCORE: True},
        }
        return [Setting(label=label, keys=keys, refined=True) for label, keys in lines.items()]
