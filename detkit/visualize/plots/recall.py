"""Plots of the recall of proposals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from detkit.visualize.palette import LIGHT, SERIES
from detkit.visualize.plots.figures import add_legend, fractions, new_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def recall_by_iou(recalls: Mapping[str, Mapping[float, float]]) -> Figure:
    """Recall over the required IoU.

    Args:
        recalls: the recall at each IoU, by a text with the number of proposals.
    """
    figure, axes = new_axes("IoU that a proposal must reach", "share of objects reached", title="Recall by IoU")
    for (name, recall), color in zip(recalls.items(), SERIES):
        axes.plot(list(recall), list(recall.values()), color=LIGHT[color], linewidth=1.5, label=name)
    fractions(axes, "y")
    add_legend(axes, loc="best")
    return figure


def recall_by_count(recalls: Mapping[str, Mapping[int, float]]) -> Figure:
    """Recall over the number of proposals of an image.

    Args:
        recalls: the recall with each number of proposals, by a text with the IoU.
    """
    figure, axes = new_axes("proposals of an image", "share of objects reached", title="Recall by count")
    for (name, recall), color in zip(recalls.items(), SERIES):
        axes.plot(list(recall), list(recall.values()), color=LIGHT[color], linewidth=1.5, marker="o", ms=3, label=name)
    axes.set_xscale("log")
    counts = sorted({count for recall in recalls.values() for count in recall})
    axes.set_xticks(counts, [f"{count:,}" for count in counts])
    axes.minorticks_off()
    fractions(axes, "y")
    add_legend(axes, loc="lower right")
    return figure
