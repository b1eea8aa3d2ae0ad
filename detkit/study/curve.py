"""Plots of a figure over a setting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from detkit.evaluation.bootstrap import Interval
from detkit.study.text import Text
from detkit.visualize.palette import LIGHT
from detkit.visualize.plots.figures import add_legend, new_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HERE, PAPER = LIGHT["blue"], LIGHT["orange"]


def curve(axis: Text, here: Sequence[tuple[float, Interval]], paper: Sequence[tuple[float, float]] = ()) -> Figure:
    """A plot of mean AP in percent over a setting, with 95 % intervals as bars and English labels.

    Args:
        axis: name of the horizontal axis.
        here: (place, mean AP) in any order.
        paper: (place, published mean AP) in any order.
    """
    here, paper = sorted(here, key=lambda point: point[0]), sorted(paper)
    figure, axes = new_axes(axis.en, "mAP, %")
    if here:
        values = [interval.value for _, interval in here]
        below = [max(0.0, interval.value - interval.low) for _, interval in here]
        above = [max(0.0, interval.high - interval.value) for _, interval in here]
        places = [at for at, _ in here]
        axes.errorbar(places, values, yerr=[below, above], marker="o", capsize=3, color=HERE, label="here")
    if paper:
        axes.plot(*zip(*paper), marker="s", linestyle="--", color=PAPER, label="paper")
    add_legend(axes)
    return figure
