"""The blocks of a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Spread:
    """A fraction with its 95 % interval; both limits are the fraction itself if there is no interval."""

    value: float
    low: float
    high: float


Cell = str | Spread | None
"""Of a table; None is a dash."""


@dataclass(frozen=True)
class Table:
    """A table.

    Args:
        head: the names of the columns.
        rows: the rows, with a cell for each column.
        caption: what to read in the table.
        emphasis: whether the last row is a sum or mean.
        named: whether the first column names the row.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    emphasis: bool = False
    named: bool = True

    kind = "table"


@dataclass(frozen=True, eq=False)
class Plot:
    """One plot.

    Args:
        name: name of its file, without an ending.
        figure: the plot.
        alt: a text that describes the plot.
    """

    name: str
    figure: Figure
    alt: str


@dataclass(frozen=True, eq=False)
class Plots:
    """Plots side by side, with one sentence that says what to read in them."""

    plots: Sequence[Plot]
    caption: str

    kind = "plots"


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture.

    Args:
        jpeg: the bytes of the JPEG file.
        alt: a text that describes the picture.
        lines: short lines below it.
    """

    jpeg: bytes
    alt: str
    lines: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class Gallery:
    """Pictures under a heading, with one sentence that says what to see in them."""

    title: str
    caption: str
    pictures: Sequence[Picture]
    wide: bool = False

    kind = "gallery"


@dataclass(frozen=True)
class Text:
    """A paragraph, or a block of literal text."""

    text: str
    literal: bool = False

    kind = "text"


Block = Table | Plots | Gallery | Text


@dataclass(frozen=True, eq=False)
class Section:
    """A part of the page.

    Args:
        name: name of its anchor.
        title: its heading.
        lead: one or two sentences below the heading.
        blocks: its content.
        missing: why the part is missing; such a part is only listed.
        is_open: whether it is unfolded at first.
    """

    name: str
    title: str
    lead: str = ""
    blocks: Sequence[Block] = ()
    missing: str = ""
    is_open: bool = True


def percent(fraction: float | None) -> str | None:
    """A fraction in percent with one digit; None stays None."""
    return None if fraction is None else f"{100 * fraction:.1f}"
