"""An explanation of one region as a sheet of pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from detkit.detection.detector import Detector
from detkit.detection.explain import OTHERS, UNITS
from detkit.detection.explanation import Explanation
from detkit.detection.units import drawn_field
from detkit.report.explain_bars import AGAINST, MOVED, TAKEN, draw_scores, draw_shares, short_name
from detkit.report.explain_text import fate_text, view_text
from detkit.visualize import Labels, write_figure
from detkit.visualize.seen import REGION, draw_seen

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure
    from matplotlib.font_manager import FontProperties

MOST_BOXES = 6
"""Suppressed boxes that are drawn."""


def explanation_sheet(path: Path, found: Explanation, detector: Detector) -> None:
    """Writes the sheet: image, crop and scores; the strongest units; the shares of the score; and its fate."""
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    labels = Labels.of(detector.class_names)
    font = FontProperties(fname=str(labels.font_file), size=10)
    figure = Figure(figsize=(15, 11.5), layout=ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06))
    heights = figure.add_gridspec(3, 1, height_ratios=[4.2, 3.6, 3.2], hspace=0.02)
    top, middle, bottom = (figure.add_subfigure(heights[row]) for row in range(3))
    name = labels.names[found.focus.label]
    figure.suptitle(f"region {found.row} as {name}: {found.focus.fate.kind}", fontproperties=font, fontsize=15)
    image, crop, scores = top.subplots(1, 3, width_ratios=[1.5, 1, 1.1])
    _draw_image(image, found, font)
    _draw_crop(crop, found, detector)
    draw_scores(scores, found, labels, font)
    _draw_units(middle, found, detector)
    shares, fate = bottom.subplots(1, 2, width_ratios=[1.5, 1])
    draw_shares(shares, found, name, font)
    _draw_fate(fate, found, name, font)
    write_figure(path, figure)


def _draw_image(axes: Axes, found: Explanation, font: FontProperties) -> None:
    axes.imshow(found.steps.image)
    fate, proposals = found.focus.fate, found.steps.proposals.boxes
    boxes: list[tuple[np.ndarray, str, str, str]] = []
    others = [one.region for one in fate.suppressed[:MOST_BOXES]]
    boxes += [(_refined(found, row), TAKEN, "--", "" if i else "what it suppresses") for i, row in enumerate(others)]
    if fate.by is not None:
        boxes.append((_refined(found, fate.by.region), AGAINST, "-", f"region {fate.by.region}, which suppresses it"))
    boxes.append((found.moved.clipped, MOVED, "-", "after the box head"))
    boxes.append((proposals.tensor[found.row].numpy(), REGION, "-", "the region"))
    for box, color, style, label in boxes:
        _rectangle(axes, box, color, style, label)
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.01), ncols=2, frameon=False, prop=font, reverse=True)
    _bare(axes)
    count = len(proposals) if found.is_proposed else len(proposals) - 1
    place = f"proposal {found.row + 1} of {count}" if found.is_proposed else f"a box beside {count} proposals"
    axes.set_title(place, fontsize=11)


def _refined(found: Explanation, row: int) -> np.ndarray:
    """The clipped box of another candidate of the class."""
    candidates = found.steps.candidates
    at = ((candidates.rows == row) & (candidates.labels == found.focus.label)).nonzero()[0]
    box: np.ndarray = candidates.refined[at].clip(found.steps.proposals.image_size).tensor[0].numpy()
    return box


def _draw_crop(axes: Axes, found: Explanation, detector: Detector) -> None:
    view = detector.network.extractor.view(found.steps.image, found.box)
    _draw_view(axes, view, detector)
    axes.set_title("what the network sees", fontsize=11)
    axes.set_xlabel(_wrapped(view_text(view, detector), 44), fontsize=9)


def _draw_view(axes: Axes, view: Any, detector: Detector, field: np.ndarray | None = None) -> None:
    if view is None:
        axes.text(0.5, 0.5, "not shown", ha="center", va="center", transform=axes.transAxes)
        _bare(axes)
        return
    draw_seen(axes, view, detector.network.backbone.preprocessing, field)


def _draw_units(part: SubFigure, found: Explanation, detector: Detector) -> None:
    drawn = [drawn_field(found.field, one.unit) for one in found.units]
    is_crop = (view := detector.network.extractor.view(found.steps.image, found.box)) is not None and view.is_crop
    sees = "each sees the whole crop" if all(one is None for one in drawn) else "white: what each sees of the crop"
    what = f"its strongest units of {found.layer}, and the other regions that excite them most"
    how = "activation / the channel's largest in this image"
    part.suptitle(f"{what} ({how}{'; ' + sees if is_crop else ''})", fontsize=11)
    columns, side = 3, OTHERS + 2  # the last column of a unit is the gap to the next one
    widths = ([1.0] * (OTHERS + 1) + [0.15]) * columns
    grid = part.subplots(-(-UNITS // columns), columns * side - 1, squeeze=False, width_ratios=widths[:-1])
    for axes in grid.ravel():
        axes.axis("off")
    for at, one in enumerate(found.units):
        row, first = divmod(at, columns)
        tiles = [(found.row, one.relative), *one.others]
        for place, (region, relative) in enumerate(tiles):
            axes = grid[row, first * side + place]
            axes.axis("on")
            box = found.steps.proposals.boxes[[region]]
            view = detector.network.extractor.view(found.steps.image, box)
            _draw_view(axes, view, detector, drawn[at])
            axes.set_anchor("N")  # else a tall picture covers the title of a flat one beside it
            own = place == 0
            axes.set_xlabel(f"{relative:.0%}" if own else f"{relative:.0%}  ({region})", fontsize=9, labelpad=2)
            if own:
                axes.set_title(short_name(one.unit), fontsize=9, loc="left", pad=3)
                for spine in axes.spines.values():
                    spine.set(color=REGION, linewidth=2.5)


def _draw_fate(axes: Axes, found: Explanation, name: str, font: FontProperties) -> None:
    focus, moved = found.focus, found.moved
    probability = "" if focus.probability is None else f", probability {focus.probability:.0%}"
    corners = [", ".join(f"{v:.0f}" for v in box) for box in (moved.before, moved.clipped)]
    dx, dy, dw, dh = moved.deltas.tolist()
    lines = [
        f"score {focus.score:.3f}, shown from {focus.threshold:.3f}{probability}",
        f"place {focus.fate.place} of {len(found.steps.proposals)} regions as {name}",
        "",
        f"box {corners[0]}",
        f" -> {corners[1]}",
        f"dx {dx:+.3f}   dy {dy:+.3f}   dw {dw:+.3f}   dh {dh:+.3f}",
        "",
        _wrapped(fate_text(focus.fate, found.steps.settings.nms_iou), 52),
    ]
    axes.text(
        0, 1, "\n".join(lines), va="top", fontproperties=font, fontsize=11, linespacing=1.4, transform=axes.transAxes
    )
    axes.axis("off")
    axes.set_title("score, box, and what became of it", fontsize=11, loc="left")


def _wrapped(text: str, width: int) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, width))


def _rectangle(axes: Axes, box: np.ndarray, color: str, style: str, label: str) -> None:
    from matplotlib.patches import Rectangle

    x1, y1, x2, y2 = (float(v) - 0.5 for v in box)
    axes.add_patch(
        Rectangle(
            (x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=color, linestyle=style, linewidth=2.2, label=label or None
        )
    )


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
