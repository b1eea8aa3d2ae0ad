"""Lines of numbers over a training run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from detkit.visualize.palette import LIGHT, SERIES
from detkit.visualize.plots.figures import add_legend, fractions, new_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Line = tuple[Sequence[float], Sequence[float]]
"""x and y of each point."""


def over_steps(
    title: str, lines: Mapping[str, Line], *, xlabel: str, ylabel: str, share: bool = False, log: bool = False
) -> Figure:
    """Lines over steps or another quantity; a line of few points has dots.

    Args:
        title: title of the plot.
        lines: lines by name; the first six have colours of their own.
        xlabel: label of x.
        ylabel: label of y.
        share: whether y is a fraction, drawn from 0 to 1.
        log: whether y has a logarithmic scale.
    """
    from matplotlib.ticker import MaxNLocator

    figure, axes = new_axes(xlabel, ylabel, title=title)
    for place, (name, (x, y)) in enumerate(lines.items()):
        color, style = SERIES[place % len(SERIES)], ("-", "--", ":")[place // len(SERIES) % 3]
        marker = "o" if len(x) <= 12 else ""
        axes.plot(x, y, style, color=LIGHT[color], linewidth=1.5, marker=marker, markersize=3, label=name)
    if all(isinstance(x, int) for xs, _ in lines.values() for x in xs):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if share:
        fractions(axes, "y")
    elif log:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    if len(lines) > 1:
        add_legend(axes)
    return figure
