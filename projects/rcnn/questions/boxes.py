"""Settings of box regression."""

from __future__ import annotations

from detkit.config.node import Config
from detkit.registry import QUESTIONS
from detkit.study.comparison import Claim
from detkit.study.setting import Setting
from detkit.study.text import Text

from .common import Compared

RIDGE = {"BOX_HEAD.NAME": "Ridge"}
WEIGHTS = (1000, 1, 10, 100, 10000, 100000)
OVERLAPS = (0.6, 0.3, 0.4, 0.5, 0.7, 0.8)


@QUESTIONS.register(name="regression")
class Regression(Compared):
    """The weight of ridge regression. Source: R-CNN, appendix C."""

    title = Text(
        "What does box regression gain, and how much must it be held back?", "边框回归有多大提升？正则化需要多强？"
    )
    source = "section 3.2 and appendix C"
    said = Text(
        "In the paper box regression gains 4.3 points; a weight of 1,000 on the norm was found by validation, "
        "and too small a weight harms.",
        "论文中边框回归提升 4.3 个百分点；正则化权重 1,000 由验证集得到，权重过小会有害。",
    )
    ious = (0.5, 0.7)
    claims = (Claim("lambda 1000", "no regression"), Claim("lambda 1000", "lambda 1"))

    def settings(self, config: Config) -> list[Setting]:
        """Settings with the paper's weight, without box regression, and with other weights."""
        found = [
            Setting(
                label=Text(f"lambda {weight}"),
                keys={**RIDGE, "BOX_HEAD.Ridge.ALPHA": float(weight)},
                paper=58.5 if weight == 1000 else None,
                refined=True,
            )
            for weight in WEIGHTS
        ]
        none = Setting(label=Text("no regression", "不回归"), keys=RIDGE, paper=54.2)
        return [found[0], none, *sorted(found[1:], key=lambda s: s.keys["BOX_HEAD.Ridge.ALPHA"])]


@QUESTIONS.register(name="q3.7")
class OverlapOfExamples(Compared):
    """The IoU from which regions are examples of box regression."""

    title = Text(
        "Why does box regression learn only above an IoU of 0.6?", "边框回归为什么只学 IoU 超过 0.6 的候选框？"
    )
    source = "appendix C"
    said = Text(
        "The paper learns only from proposals near an object, as the task makes no sense for others, and chose "
        "0.6 by "
        "validation. It gives no figure for other thresholds.",
        "论文只用离物体近的候选框学习，因为对远处的框这一任务没有意义；0.6 由验证集选出，没有给出其他阈值的数字。",
    )
    ious = (0.7, 0.5)
    claims = (Claim("IoU > 0.6", "IoU > 0.3"), Claim("IoU > 0.6", "IoU > 0.8"))
    axis = Text("IoU above which a proposal is an example")

    def settings(self, config: Config) -> list[Setting]:
        """Settings with the paper's threshold first."""
        return [
            Setting(label=Text(f"IoU > {iou:g}"), keys={**RIDGE, "BOX_HEAD.Ridge.MIN_IOU": iou}, refined=True, at=iou)
            for iou in OVERLAPS
        ]
