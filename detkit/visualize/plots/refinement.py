"""Plots of the effect of box regression."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from detkit.visualize.palette import LIGHT
from detkit.visualize.plots.figures import add_legend, fractions, new_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_DOTS = 400
BINS = np.linspace(0, 1, 21)


def iou_before_and_after(before: np.ndarray, after: np.ndarray) -> Figure:
    """A dot for each box: IoU with the object after regression over IoU before; above the diagonal it improved.

    Args:
        before: (N,) IoU of the proposals with their objects.
        after: (N,) IoU of the moved boxes with their objects.
    """
    figure, axes = new_axes("IoU of the proposal", "IoU after regression", title="Box by box")
    rows = np.linspace(0, len(before) - 1, min(len(before), MOST_DOTS)).astype(int)
    axes.plot([0, 1], [0, 1], color=LIGHT["muted"], linewidth=0.8)
    for gained, color, label in ((True, "blue", "nearer to the object"), (False, "orange", "further away")):
        own = rows[(after[rows] >= before[rows]) == gained]
        axes.plot(before[own], after[own], "o", color=LIGHT[color], markersize=3, alpha=0.6, mew=0, label=label)
    fractions(axes)
    add_legend(axes, loc="upper left")
    return figure


def iou_histogram(before: np.ndarray, after: np.ndarray) -> Figure:
    """A histogram of IoU before and after regression; arguments are as for ``iou_before_and_after``."""
    figure, axes = new_axes("IoU with the object", "boxes", title="Spread of IoU")
    for values, color, label in ((before, "orange", "proposals"), (after, "blue", "after regression")):
        counts, _ = np.histogram(values, BINS)
        axes.stairs(counts, BINS, color=LIGHT[color], linewidth=1.6, label=label)
    fractions(axes, "x")
    add_legend(axes, loc="upper left")
    return figure
