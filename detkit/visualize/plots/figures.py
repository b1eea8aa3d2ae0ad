"""Figures in detkit's style, and their output as SVG or as a file."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detkit.errors import ConfigError
from detkit.system.files import replacing
from detkit.visualize.palette import DARK, LIGHT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".svg", ".png")
FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
WIDTH, HEIGHT = 3.9, 2.7
"""Inches of a plot: narrow enough for a telephone, where wider ones would shrink their text."""
POINTS = 200
"""Most points of a curve: more are not seen, and each costs bytes."""


def new_axes(
    xlabel: str, ylabel: str, *, title: str = "", width: float = WIDTH, height: float = HEIGHT
) -> tuple[Figure, Axes]:
    """An empty figure with one pair of axes. It does not use matplotlib's global state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(xlabel, color=LIGHT["muted"], fontsize=9)
    axes.set_ylabel(ylabel, color=LIGHT["muted"], fontsize=9)
    axes.set_title(title, color=LIGHT["ink"], fontsize=10.5, loc="left", fontweight="bold")
    axes.grid(visible=True, color=LIGHT["line"], linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_facecolor("none")
    figure.set_facecolor("none")
    axes.tick_params(colors=LIGHT["muted"], labelsize=8.5, length=0)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(LIGHT["line"])
    return figure, axes


def fractions(axes: Axes, which: str = "xy") -> None:
    """Sets axes to the fractions 0 to 1."""
    for name in which:
        getattr(axes, f"set_{name}lim")(-0.02, 1.02)
        getattr(axes, f"set_{name}ticks")([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"])


def add_legend(axes: Axes, **where: Any) -> None:
    """Adds a legend without a box."""
    axes.legend(frameon=False, fontsize=8.5, labelcolor=LIGHT["ink"], handlelength=1.4, **where)


def svg_text(figure: Figure, *, adaptive: bool = False) -> str:
    """The figure as SVG with its text as text; the same figure gives the same bytes.

    Args:
        figure: the figure; it and its axes have no background.
        adaptive: whether colours follow the reader's choice of light or dark. Browsers can draw such colours, other
            programs cannot.
    """
    from matplotlib import rc_context

    out = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "detkit"}), _any_letters():
        figure.savefig(out, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    _, _, drawn = out.getvalue().partition("<svg ")
    drawn = re.sub(r'font-family: [^;"]*', "font-family: " + FONTS, drawn)
    drawn = re.sub(r" *\n+ *", " ", drawn)
    if adaptive:
        for name, color in LIGHT.items():
            drawn = drawn.replace(f": {color}", f": var(--{name})")
        drawn = drawn.replace("*{stroke-linejoin", _variables() + "*{stroke-linejoin", 1)
    return f"<svg {drawn}"


def write_plot(path: Path, figure: Figure) -> None:
    """Writes a figure as .svg or .png, on white.

    Raises:
        ConfigError: if the path has another ending.
    """
    if path.suffix not in FORMATS:
        raise ConfigError(f"{path}: plots are written as {' or '.join(FORMATS)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.set_facecolor("white")
    with replacing(path) as partial:
        if path.suffix == ".svg":
            partial.write_text(svg_text(figure), encoding="utf-8")
        else:
            with _any_letters():
                figure.savefig(partial, format="png", dpi=200)
    figure.set_facecolor("none")


@contextmanager
def _any_letters() -> Iterator[None]:
    """Measures names in letters that matplotlib's font lacks; whoever draws an SVG has a font of its own."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def _variables() -> str:
    light, dark = ("".join(f"--{name}:{color};" for name, color in one.items()) for one in (LIGHT, DARK))
    return f":root{{{light}}}@media (prefers-color-scheme: dark){{:root{{{dark}}}}}"
