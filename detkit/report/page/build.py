"""The page: its sections, and the file."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import detkit
from detkit.evaluation.voc_files import in_file_name
from detkit.report.page.accuracy import accuracy, curves
from detkit.report.page.blocks import Plot, Plots, Section
from detkit.report.page.cost import cost
from detkit.report.page.errors import errors
from detkit.report.page.head import key_figures, subtitle
from detkit.report.page.inputs import Inputs
from detkit.report.page.mining import mining
from detkit.report.page.objects import objects
from detkit.report.page.pictures import pictures
from detkit.report.page.proposals import proposals
from detkit.report.page.regression import regression
from detkit.report.page.settings import settings
from detkit.report.page.thresholds import thresholds
from detkit.report.page.training import training
from detkit.system.files import write_atomically
from detkit.visualize.palette import DARK, LIGHT
from detkit.visualize.plots.figures import svg_text, write_plot

SECTIONS = (
    *(accuracy, curves, pictures, errors, thresholds, objects),
    *(proposals, training, mining, regression, cost, settings),
)
TEMPLATE = "report.html.jinja"


def sections(inputs: Inputs) -> list[Section]:
    """Every section of the page, missing ones too."""
    return [make(inputs) for make in SECTIONS]


def write_page(file: Path, inputs: Inputs, parts: Sequence[Section]) -> None:
    """Writes the page as one file that needs no other.

    Args:
        file: the file; its folder must exist.
        inputs: inputs of the page's head.
        parts: the result of ``sections``.
    """
    from jinja2 import Environment, PackageLoader

    page = Environment(
        loader=PackageLoader("detkit.report.page", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    page.filters["svg"] = lambda plot: (
        "data:image/svg+xml," + quote(svg_text(plot.figure, adaptive=True), safe=_UNQUOTED)
    )
    page.filters["jpeg"] = lambda picture: "data:image/jpeg;base64," + base64.b64encode(picture.jpeg).decode()
    given: dict[str, Any] = {
        "name": inputs.name,
        "subtitle": subtitle(inputs),
        "figures": key_figures(inputs),
        "sections": [part for part in parts if not part.missing],
        "missing": [part for part in parts if part.missing],
        "light": LIGHT,
        "dark": DARK,
        "version": detkit.__version__,
    }
    write_atomically(file, page.get_template(TEMPLATE).render(given).encode("utf-8", "backslashreplace"))


def write_plots(folder: Path, parts: Sequence[Section], ending: str) -> list[Path]:
    """Writes each plot of the page into a folder, as ".svg" or ".png"."""
    written = []
    for plot in _plots(parts):
        written.append(folder / f"{in_file_name(plot.name)}{ending}")
        write_plot(written[-1], plot.figure)
    return written


def _plots(parts: Sequence[Section]) -> Iterator[Plot]:
    for part in parts:
        for block in part.blocks:
            if isinstance(block, Plots):
                yield from block.plots


_UNQUOTED = " !$&'()*+,-./:;=?@_~"
"""What may stand in a data URL between double quotes; HTML's own characters are escaped by the template."""
