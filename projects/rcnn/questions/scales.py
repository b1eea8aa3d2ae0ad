"""The same object at two scales, and the units of the targets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from detkit.config.node import Config
from detkit.registry import QUESTIONS
from detkit.study.answer import Answer, Table
from detkit.study.by_image import ByImage
from detkit.study.comparison import Claim
from detkit.study.lab import Lab
from detkit.study.learnt import ScoredRegions
from detkit.study.setting import Setting
from detkit.study.text import Text
from detkit.study.verdict import Verdict

from .boxes import RIDGE
from .common import Compared
from .scaled import SCALES, mean_distance, mean_moves, picture_of, seen_objects

CODER = "BOX_HEAD.Ridge.CODER"
MOST = 60
"""Objects that are looked at."""

BETTER = Text(
    "at half the scale targets in sides place boxes better than targets in pixels",
    "缩小一半时，以边长为单位的目标比以像素为单位的目标定位更好",
)
TOLD = Text(
    "Of {count} test objects, each with a proposal beside it, the picture was halved: features move by "
    "{moved:.0f} % of "
    "their length, as the warp makes both scales one size (two objects differ by {apart:.0f} %), while the "
    "move in pixels "
    "halves and the move in sides stays. At half the scale regression in sides reaches a mean IoU of {log:.3f}, in "
    "pixels {pixels:.3f}: {d:+.3f}, 95 % interval {low:+.3f} to {high:+.3f}. That sides are better there {verdict}.",
    "对 {count} 个测试物体各取一个旁边的候选框，并把图像缩小一半：由于拉伸使两种尺度大小相同，"
    "特征只改变其长度的 {moved:.0f} %"
    "（不同物体相差 {apart:.0f} %），而像素位移减半，以边长为单位的位移不变。缩小后以边长为单位的回归平均 IoU "
    "为 {log:.3f}，"
    "以像素为单位为 {pixels:.3f}：相差 {d:+.3f}，95 % 区间为 {low:+.3f} 到 {high:+.3f}。前者更好{verdict}。",
)
HEADING = Text("The same objects at two scales, means", "同一物体的两种尺度，平均值")
COLUMNS = (
    Text("scale", "尺度"),
    Text("move, px", "位移，像素"),
    Text("move, sides", "位移，边长"),
    Text("IoU before", "回归前 IoU"),
    Text("IoU, targets in sides", "IoU，以边长为单位"),
    Text("IoU, targets in pixels", "IoU，以像素为单位"),
)


@QUESTIONS.register(name="q3.8")
class Units(Compared):
    """The units of the targets. Source: R-CNN, appendix C, eqs. 6 to 9."""

    title = Text(
        "Why are targets relative to the box, and sides as logarithms?",
        "目标为什么相对于候选框来取，边长为什么取对数？",
    )
    source = "appendix C"
    said = Text(
        "The notes give two reasons for relative targets: errors of small and large objects weigh alike, and one "
        "feature means one target at every scale. The paper gives no figure for other targets.",
        "笔记给出使用相对量的两个理由：大小物体的误差同等重要；同样的特征在任何尺度下对应同样的目标。"
        "论文没有给出其他目标的数字。",
    )
    ious = (0.7, 0.5)
    claims = (Claim("log", "pixels"), Claim("log", "relative, no log"))

    def settings(self, config: Config) -> list[Setting]:
        """Settings with the paper's targets first."""
        lines = {
            Text("log"): "log",
            Text("relative, no log", "相对，不取 log"): "relative",
            Text("pixels", "像素"): "pixels",
        }
        return [Setting(label=label, keys={**RIDGE, CODER: name}, refined=True) for label, name in lines.items()]

    def extended(self, lab: Lab, answer: Answer) -> Answer:
        """The answer with real objects at two scales."""
        sides, _, pixels = (lab.run(setting) for setting in answer.settings)
        heads = [ScoredRegions.of(run).scorer for run in (sides, pixels)]
        seen = seen_objects(sides, heads[0].box_layer, MOST)
        images, count = np.array([own.image for own in seen]), len(sides.datasets("TEST"))
        means = [
            [ByImage.of(np.array([o.placed(h.box_head, at) for o in seen]), images, count) for h in heads]
            for at in range(len(SCALES))
        ]
        first, second = (torch.cat([own.views[at].features for own in seen]) for at in range(2))
        in_sides, in_pixels = means[1]
        verdict = Verdict.of(
            BETTER,
            in_sides.above(in_pixels),
            TOLD,
            count=len(seen),
            moved=mean_distance(first, second),
            apart=mean_distance(first, first.roll(1, 0)),
            log=in_sides.value,
            pixels=in_pixels.value,
        )
        rows = []
        for at, scale in enumerate(SCALES):
            before = mean_moves([(own.views[at].proposal, own.views[at].goal) for own in seen])
            rows.append([f"{scale:g}", *before, *(f"{mean.value:.3f}" for mean in means[at])])
        return replace(
            answer,
            paragraph=answer.paragraph + verdict.sentence,
            verdicts=[*answer.verdicts, verdict],
            tables=[*answer.tables, Table(HEADING, COLUMNS, rows)],
            figures={"scales": picture_of(seen[0])},
        )
