"""The paper's figure 4 for any unit: the regions that excite it most, with its receptive field."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from detkit.backbones.preprocessing import Preprocessing
from detkit.backbones.receptive_fields import ReceptiveField, receptive_fields
from detkit.config.build import build
from detkit.data.images import sample_image
from detkit.detection.units import drawn_field
from detkit.regions.base import RegionExtractor
from detkit.report.unit_source import UnitSource
from detkit.report.units import TopRegions
from detkit.stages.networks import load_network
from detkit.visualize import write_figure
from detkit.visualize.seen import REGION, Tile

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS, SIDE, GAP = 16, 96, 6
"""Tiles in a line, pixels of a tile's side and between tiles."""


def units_sheet(path: Path, source: UnitSource, tops: Sequence[TopRegions], count: int) -> None:
    """Writes the sheet: for each unit its ``count`` strongest regions, 16 a line, with activation and field.

    Args:
        path: the picture.
        source: the regions.
        tops: the units with their top regions.
        count: number of regions of each unit.
    """
    from matplotlib.figure import Figure

    backbone = load_network(source.context)
    field = receptive_fields(backbone)[source.layer]
    extractor = build(source.context.config, "REGION_EXTRACTOR", input_size=backbone.input_size)
    seen = partial(_tile, source, extractor, backbone.preprocessing)
    lines = [max(1, -(-min(count, len(top.rows)) // COLUMNS)) for top in tops]
    figure = Figure(figsize=(16, 0.4 + sum(0.45 + 1.02 * n for n in lines)), layout="constrained")
    grid = figure.add_gridspec(len(tops), 1, height_ratios=[0.45 + 1.02 * n for n in lines])
    for at, top in enumerate(tops):
        _draw_unit(figure.add_subplot(grid[at]), top, count, field, seen)
    write_figure(path, figure)


def _tile(source: UnitSource, extractor: RegionExtractor, preprocessing: Preprocessing, row: int) -> Tile:
    index = source.features.index
    image = sample_image(index.samples[int(index.image[row])])
    return Tile.of(extractor.view(image, index.boxes[[row]]), preprocessing, SIDE)


def _draw_unit(axes: Axes, top: TopRegions, count: int, field: ReceptiveField, seen: Callable[[int], Tile]) -> None:
    rows = top.rows[:count]
    lines, step = max(1, -(-len(rows) // COLUMNS)), SIDE + GAP
    picture = np.full((lines * step - GAP, COLUMNS * step - GAP, 3), 255, np.uint8)
    drawn = drawn_field(field, top.unit)
    is_crop = False
    for place, row in enumerate(rows.tolist()):
        y, x = (n * step for n in divmod(place, COLUMNS))
        tile = seen(row)
        picture[y : y + SIDE, x : x + SIDE] = tile.pixels
        is_crop = tile.is_crop
        if tile.is_crop and drawn is not None:
            _rectangle(axes, drawn * SIDE / field.side, x, y, "white")
        elif not tile.is_crop:
            _rectangle(axes, tile.area, x, y, REGION)
        _write(axes, x, y, f"{top.relative[place]:.2f}")
    axes.imshow(picture, interpolation="bilinear")
    axes.axis("off")
    sees = f"; sees {field.text}" if is_crop else "; pooled from the map of the whole image"
    found = f"its {len(top.rows):,} strongest regions are kept" if len(top.rows) else "no region excites it"
    axes.set_title(f"{top.unit}{sees}; {found}, the channel's largest is {top.peak:.3g}", loc="left", fontsize=11)


def _rectangle(axes: Axes, box: np.ndarray, x: int, y: int, color: str) -> None:
    from matplotlib.patches import Rectangle

    x1, y1, x2, y2 = (float(v) - 0.5 for v in box)
    for width, line in ((2.6, "black"), (1.3, color)):
        axes.add_patch(Rectangle((x + x1, y + y1), x2 - x1, y2 - y1, fill=False, edgecolor=line, linewidth=width))


def _write(axes: Axes, x: int, y: int, text: str) -> None:
    from matplotlib.patheffects import Normal, Stroke

    axes.text(
        x + 3,
        y + 4,
        text,
        color="white",
        fontsize=8,
        va="top",
        path_effects=[Stroke(linewidth=2, foreground="black"), Normal()],
    )
