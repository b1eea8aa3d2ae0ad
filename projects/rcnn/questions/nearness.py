"""Why box regression is linear."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

from detkit.config.node import Config
from detkit.registry import QUESTIONS
from detkit.study.answer import Answer, Cell, Table
from detkit.study.comparison import Claim
from detkit.study.curve import HERE, PAPER
from detkit.study.lab import Lab
from detkit.study.learnt import ScoredRegions
from detkit.study.setting import Setting
from detkit.study.text import Text
from detkit.study.verdict import Verdict
from detkit.visualize.palette import LIGHT
from detkit.visualize.plots.figures import add_legend, new_axes

from .boxes import RIDGE
from .common import Compared
from .near import LEAST, Near

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EDGES = (LEAST, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0001)
FAR, NEAR = (0.5, 0.6), (0.8, 1.0001)
HIDDEN = {"BOX_HEAD.NAME": "MLP"}

APART = Text(
    "log(1 + x) is nearer to x from IoU 0.8 on than at 0.5 to 0.6", "IoU 0.8 以上时 log(1+x) 比 0.5 到 0.6 时更接近 x"
)
TOLD = Text(
    "For the sides of test proposals log(1 + x) differs from x by {far:.3f} at IoU 0.5 to 0.6 and by {near:.3f} from "
    "0.8 on: {d:.3f} less, 95 % interval {low:.3f} to {high:.3f}. That it is nearly linear only near the object "
    "{verdict}. The regression errs by {far_error:.3f} and {near_error:.3f}.",
    "对测试候选框的边长，log(1+x) 与 x 之差在 IoU 0.5 到 0.6 时为 {far:.3f}，在 0.8 以上为 {near:.3f}：小 {d:.3f}，"
    "95 % 区间为 {low:.3f} 到 {high:.3f}。只有接近物体时才近似线性{verdict}。回归的误差分别为 {far_error:.3f} "
    "和 {near_error:.3f}。",
)
HEADING = Text("By the IoU of test proposals with their object", "按测试候选框与物体的 IoU")
COLUMNS = (
    Text("IoU from", "IoU 从"),
    Text("proposals", "候选框"),
    Text("|log(1+x) - x|", "|log(1+x) - x|"),
    Text("|target|", "|目标|"),
    Text("error, linear", "线性的误差"),
    Text("IoU after", "回归后的 IoU"),
)


@QUESTIONS.register(name="q3.6")
class WhyLinear(Compared):
    """Linear and non-linear regression. Source: R-CNN, appendix C; the notes argue with log(1 + x) ~ x."""

    title = Text("Why is box regression linear?", "边框回归为什么是线性的？")
    source = "appendix C"
    said = Text(
        "The notes argue that near the object log(1 + x) is about x, so that the target is linear in what is learnt. "
        "The paper only says that the task makes sense near an object alone. A hidden layer need not be linear.",
        "笔记的理由是：接近物体时 log(1+x) 约等于 x，因此目标是线性的。论文只说这一任务仅在接近物体时有意义。"
        "带一个隐藏层的回归不必是线性的。",
    )
    ious = (0.7, 0.5)
    claims = (Claim("linear", "one hidden layer"),)

    def settings(self, config: Config) -> list[Setting]:
        """Settings with ridge regression and with a hidden layer, on the same examples."""
        return [
            Setting(label=Text("linear", "线性"), keys=RIDGE, refined=True),
            Setting(label=Text("one hidden layer", "一个隐藏层"), keys=HIDDEN, refined=True),
        ]

    def extended(self, lab: Lab, answer: Answer) -> Answer:
        """The answer with both errors by overlap."""
        near = Near.of(ScoredRegions.of(lab.run(answer.settings[0])))
        answer = replace(answer, tables=[*answer.tables, _table(near)], figures={"errors": _picture(near)})
        gaps = [near.mean(near.gap, span) for span in (FAR, NEAR)]
        errors = [near.mean(near.error, span).value for span in (FAR, NEAR)]
        if not all(gap.counts.any() for gap in gaps):
            return answer
        verdict = Verdict.of(
            APART,
            gaps[0].above(gaps[1]),
            TOLD,
            far=gaps[0].value,
            near=gaps[1].value,
            far_error=errors[0],
            near_error=errors[1],
        )
        told = answer.paragraph + verdict.sentence
        return replace(answer, paragraph=told, verdicts=[*answer.verdicts, verdict])


def _spans() -> list[tuple[float, float]]:
    return list(pairwise(EDGES))


def _table(near: Near) -> Table:
    rows: list[list[Cell]] = []
    for span in _spans():
        values = (near.gap, near.target, near.error, near.after)
        count = int(near.mean(near.gap, span).counts.sum())
        means = [f"{near.mean(v, span).value:.3f}" if count else None for v in values]
        rows.append([f"{span[0]:g}", count, *means])
    return Table(HEADING, COLUMNS, rows)


def _picture(near: Near) -> Figure:
    figure, axes = new_axes("IoU of a proposal with its object", "mean absolute value")
    spans = [span for span in _spans() if near.mean(near.gap, span).counts.sum()]
    middles = [sum(span) / 2 for span in spans]
    for name, values, color in (
        ("|log(1 + x) - x|", near.gap, PAPER),
        ("error of the regression", near.error, HERE),
        ("size of the targets", near.target, LIGHT["muted"]),
    ):
        axes.plot(middles, [near.mean(values, span).value for span in spans], marker="o", label=name, color=color)
    add_legend(axes)
    return figure
