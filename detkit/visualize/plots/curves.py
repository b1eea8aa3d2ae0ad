"""Precision over recall."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from detkit.visualize.palette import LIGHT, SERIES
from detkit.visualize.plots.figures import POINTS, add_legend, fractions, new_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def precision_recall(
    title: str,
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    marked: tuple[float, float] | None = None,
    legend: bool = True,
) -> Figure:
    """Precision over recall of one class.

    Args:
        title: name of the class.
        curves: by name (N,) recall, which never falls, and (N,) precision after each detection; the first is on top.
        marked: recall and precision at the model's own threshold.
        legend: whether there is a legend.
    """
    figure, axes = new_axes("recall", "precision", title=title, width=2.7, height=2.35)
    for place, ((name, (recall, precision)), color) in enumerate(zip(curves.items(), SERIES)):
        rows = thinned(recall)
        axes.plot(recall[rows], precision[rows], color=LIGHT[color], linewidth=1.5, label=name, zorder=3 - place / 10)
    if marked is not None:
        axes.plot(*marked, "o", color=LIGHT["ink"], markersize=4.5, label="threshold", zorder=4)
    fractions(axes)
    if legend:
        add_legend(axes, loc="best")
    return figure


def thinned(steps: np.ndarray) -> np.ndarray:
    """Rows of a curve to draw: the first and last at each x, or at about ``POINTS`` of them if there are more.

    Args:
        steps: (N,) x, which never falls.
    """
    _, first, counts = np.unique(steps, return_index=True, return_counts=True)
    wanted = np.unique(np.linspace(0, len(first) - 1, min(len(first), POINTS)).astype(int))
    return np.unique(np.concatenate([first[wanted], (first + counts - 1)[wanted]]))
