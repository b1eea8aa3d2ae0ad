"""The receptive fields of the layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from detkit.backbones.caffenet import CaffeNet
from detkit.backbones.receptive_fields import ReceptiveField, receptive_fields
from detkit.backbones.shapes import shape_of_network
from detkit.registry import QUESTIONS
from detkit.study.answer import Answer, Cell, Table
from detkit.study.curve import HERE, PAPER
from detkit.study.lab import Lab
from detkit.study.text import Text
from detkit.study.verdict import DOES_NOT_HOLD, HOLDS
from detkit.visualize.plots.figures import add_legend, new_axes

from .common import OfRCNN

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PUBLISHED = 195
SAID = Text(
    "The paper says that a unit of pool5 sees 195 of 227 pixels. Computed from kernels, strides and paddings, "
    "{network}'s sees {size} of {side}; the paper's figure {verdict}. The notes take this as the reason to regress "
    "boxes from pool5: it sees nearly the whole crop and still tells where. The first layer of this recipe's "
    "network, "
    "{own}, sees {own_size} of {own_side} pixels, {share:.0f} % of the side (q3.5 compares layers by their boxes).",
    "论文说 pool5 的一个单元能看到 227 像素中的 195 像素。由卷积核、步长和填充计算，{network} 为 {side} 中的 {size}；"
    "论文的数字{verdict}。笔记认为这就是用 pool5 回归的理由：它几乎看到整个区域，又保留了位置。"
    "本配方网络的第一层 {own} 能看到 {own_side} 中的 {own_size} 像素，占边长的 {share:.0f} %（q3.5 "
    "用回归结果比较各层）。",
)
HEADING = Text("Receptive fields of {network}, crops of {side} px", "{network} 的感受野，输入 {side} 像素")
COLUMNS = (
    Text("layer", "层"),
    Text("sees, px", "感受野，像素"),
    Text("share of the side, %", "占边长，%"),
    Text("stride, px", "步长，像素"),
)


@QUESTIONS.register(name="q3.4")
class WhyPool5(OfRCNN):
    """The receptive field of pool5; it needs no run. Source: R-CNN, section 3.1."""

    title = Text("Why are boxes regressed from pool5?", "边框为什么从 pool5 回归？")
    source = "section 3.1"

    def answer(self, lab: Lab) -> Answer:
        """The answer with tables of the paper's network and of the recipe's."""
        with torch.device("meta"):
            paper = receptive_fields(CaffeNet())
        own = receptive_fields(shape_of_network(lab.config))
        first = next(iter(shape_of_network(lab.config).layers))
        pool5, here = paper["pool5"], own[first]
        told = SAID.format(
            network="CaffeNet",
            size=pool5.size,
            side=pool5.side,
            verdict=HOLDS if pool5.size == PUBLISHED else DOES_NOT_HOLD,
            own=first,
            own_size=here.size,
            own_side=here.side,
            share=100 * here.share,
        )
        named = {"CaffeNet": paper, lab.config.BACKBONE.NAME: own}
        return Answer(
            paragraph=told,
            tables=[_table(network, fields) for network, fields in named.items()],
            figures={"fields": _picture(named)},
        )


def _table(network: str, fields: dict[str, ReceptiveField]) -> Table:
    side = next(iter(fields.values())).side
    rows: list[list[Cell]] = [
        [Text(name), field.size, 100 * field.share, field.stride] for name, field in fields.items()
    ]
    return Table(HEADING.format(network=network, side=side), COLUMNS, rows)


def _picture(networks: dict[str, dict[str, ReceptiveField]]) -> Figure:
    """The share of the crop's side by depth, for each network."""
    figure, axes = new_axes("operation, in the order in which they run", "receptive field, share of the side")
    for (network, fields), color in zip(networks.items(), (PAPER, HERE)):
        shares = [field.share for field in fields.values()]
        axes.plot(range(1, len(shares) + 1), shares, marker="o", label=network, color=color)
    add_legend(axes)
    return figure
