"""Shares and gains as horizontal bars, and counts as a matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from detkit.visualize.palette import LIGHT
from detkit.visualize.plots.figures import WIDTH, add_legend, fractions, new_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def stacked_shares(title: str, names: Sequence[str], shares: Mapping[str, np.ndarray], colors: Sequence[str]) -> Figure:
    """A bar for each name, made of its shares from left to right.

    Args:
        title: title of the plot.
        names: names of the N bars, from the top.
        shares: (N,) fractions of each kind; those of a bar add up to 1, or to 0 for an empty bar.
        colors: a name of the palette for each kind.
    """
    figure, axes = new_axes("share", "", title=title, height=1.35 + 0.24 * len(names))
    left, places = np.zeros(len(names)), np.arange(len(names))
    for (kind, own), color in zip(shares.items(), colors):
        axes.barh(places, own, left=left, height=0.68, color=LIGHT[color], label=kind)
        left = left + own
    axes.set_yticks(places, names, color=LIGHT["ink"])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"])
    axes.grid(visible=False, axis="y")
    handles, labels = axes.get_legend_handles_labels()
    given: dict[str, Any] = {"ncols": 3, "frameon": False, "fontsize": 8.5, "columnspacing": 1.2, "handlelength": 1.0}
    figure.legend(handles, labels, loc="outside lower center", labelcolor=LIGHT["ink"], **given)
    return figure


def gains(title: str, values: Mapping[str, float], *, xlabel: str, notes: Sequence[str] = ()) -> Figure:
    """A bar for each value, with the value written after it.

    Args:
        title: title of the plot.
        values: fractions by name, from the top.
        xlabel: label of the values, in percent.
        notes: a text for each bar, after the value.
    """
    figure, axes = new_axes(xlabel, "", title=title, height=0.95 + 0.26 * len(values))
    places, percent = np.arange(len(values)), 100 * np.array(list(values.values()))
    axes.barh(places, percent, height=0.62, color=[LIGHT["blue" if v >= 0 else "orange"] for v in percent])
    for place, value, note in zip(places, percent, notes or [""] * len(values)):
        given: dict[str, Any] = {"xytext": (4, 0), "textcoords": "offset points", "va": "center", "fontsize": 8.5}
        axes.annotate(f"{value:.1f}{note}", (max(value, 0.0), place), color=LIGHT["muted"], **given)
    axes.set_yticks(places, list(values), color=LIGHT["ink"])
    axes.set_ylim(len(values) - 0.4, -0.6)
    axes.set_xlim(min(0.0, percent.min(initial=0)), max(percent.max(initial=0), 1.0) * 1.4)
    axes.grid(visible=False, axis="y")
    return figure


def confusion(names: Sequence[str], counts: np.ndarray) -> Figure:
    """A confusion matrix. Darker cells hold a larger share of their row.

    Args:
        names: names of the rows and columns; the last one is the background.
        counts: (N, N) integers, true classes in rows.
    """
    from matplotlib.patches import Rectangle

    size = max(WIDTH, 1.5 + 0.4 * len(names))
    figure, axes = new_axes("detected as", "is", title="Confusion", width=size, height=0.5 + size * 0.72)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    for (row, column), share in np.ndenumerate(shares):
        color = LIGHT["blue" if row == column else "orange"]
        if counts[row, column]:
            axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, color=color, alpha=0.12 + 0.75 * share, lw=0))
            axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", fontsize=8, color=LIGHT["ink"])
    places = np.arange(len(names))
    axes.set_xticks(places, names, rotation=40, ha="right", rotation_mode="anchor", color=LIGHT["ink"])
    axes.set_yticks(places, names, color=LIGHT["ink"])
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(visible=False)
    return figure


def parts(title: str, groups: Mapping[str, Mapping[str, float]], whole: float, *, ylabel: str) -> Figure:
    """A line of dots for each group of parts, and the whole as a dashed line.

    Args:
        title: title of the plot.
        groups: by group, the value of each of its parts; nan if it is not known.
        whole: the value of all parts together.
        ylabel: label of the value.
    """
    figure, axes = new_axes("", ylabel, title=title, width=1.45 * WIDTH)
    first, ticks = 0, []
    for (name, values), color in zip(groups.items(), ("blue", "orange", "green", "purple")):
        x = np.arange(first, first + len(values))
        axes.plot(x, list(values.values()), color=LIGHT[color], marker="o", markersize=4.5, linewidth=1.5, label=name)
        ticks += list(zip(x.tolist(), values))
        first += len(values) + 1
    axes.axhline(whole, color=LIGHT["muted"], linewidth=0.9, linestyle="--", label="all objects")
    axes.set_xticks([x for x, _ in ticks], [name for _, name in ticks])
    top = max((value for values in groups.values() for value in values.values() if value == value), default=1.0)
    axes.set_ylim(0, 1.12 * max(top, whole, 0.01))
    add_legend(axes, ncols=2, loc="lower left")
    return figure


def reliability_diagram(confidence: np.ndarray, accuracy: np.ndarray, counts: np.ndarray) -> Figure:
    """The share of right detections over their probability; larger dots stand for more detections.

    Args:
        confidence: (B,) mean probability; nan for an empty bin.
        accuracy: (B,) share of right detections; nan for an empty bin.
        counts: (B,) number of detections.
    """
    figure, axes = new_axes("probability", "share that is right", title="Calibration")
    axes.plot([0, 1], [0, 1], color=LIGHT["muted"], linewidth=0.9, linestyle="--")
    known = counts > 0
    axes.plot(confidence[known], accuracy[known], color=LIGHT["blue"], linewidth=1.5)
    sizes = 14 + 90 * np.sqrt(counts[known] / max(counts.max(initial=1), 1))
    axes.scatter(confidence[known], accuracy[known], s=sizes, color=LIGHT["blue"], alpha=0.75, lw=0)
    fractions(axes)
    return figure
