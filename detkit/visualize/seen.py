"""Pictures of what a network sees of a region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from detkit.backbones.preprocessing import Preprocessing
from detkit.regions.base import RegionView

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.patches import Rectangle

FIELD, REGION = "#ffffff", "#e8590c"
"""Colours of a receptive field and of what is pooled from a shared map."""


@dataclass(frozen=True, eq=False)
class Tile:
    """A picture of what a network sees of a region, in a square of one size.

    Args:
        pixels: (side, side, 3) uint8 RGB.
        area: (4,) x1, y1, x2, y2 in ``pixels``, as in ``RegionView``.
        is_crop: whether the square is the whole crop; a part of a scaled image is centred in it.
    """

    pixels: np.ndarray
    area: np.ndarray
    is_crop: bool

    @classmethod
    def of(cls, view: RegionView | None, preprocessing: Preprocessing, side: int) -> Tile:
        """The tile of a view; grey if the extractor shows nothing."""
        if view is None:
            return cls(np.full((side, side, 3), 200, np.uint8), np.zeros(4), is_crop=False)
        pixels, area = filled(view, preprocessing), np.asarray(view.area, float)
        if not view.is_crop:
            pixels, area = _around(pixels, area)
        scale = side / max(pixels.shape[:2])
        width, height = (max(1, round(length * scale)) for length in pixels.shape[1::-1])
        shrinks = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        square, left, top = np.full((side, side, 3), 255, np.uint8), (side - width) // 2, (side - height) // 2
        square[top : top + height, left : left + width] = cv2.resize(pixels, (width, height), interpolation=shrinks)
        return cls(square, area * scale + np.array([left, top, left, top]), view.is_crop)


def draw_seen(axes: Axes, view: RegionView, preprocessing: Preprocessing, field: np.ndarray | None = None) -> None:
    """Draws a crop, or the part of the scaled image around what is pooled from it.

    Args:
        axes: the axes to draw into; their ticks are removed.
        view: the view of the extractor.
        preprocessing: preprocessing of the network; its mean fills the part of a crop without pixels.
        field: (4,) x1, y1, x2, y2 of a receptive field in a crop; None for none.
    """
    from matplotlib.patheffects import Normal, Stroke

    pixels = filled(view, preprocessing)
    if not view.is_crop:
        pixels, area = _around(pixels, view.area)
        _outline(axes, area, REGION)
    axes.imshow(pixels, interpolation="bilinear")
    if field is not None and view.is_crop:
        line = _outline(axes, field, FIELD)
        line.set_path_effects([Stroke(linewidth=3, foreground="black"), Normal()])
    axes.set_xlim(-0.5, pixels.shape[1] - 0.5)
    axes.set_ylim(pixels.shape[0] - 0.5, -0.5)
    axes.set_xticks([])
    axes.set_yticks([])


def filled(view: RegionView, preprocessing: Preprocessing) -> np.ndarray:
    """(h, w, 3) uint8: the pixels as the network sees them, with its mean colour where a crop has none."""
    if not view.is_crop:
        return view.pixels
    own = preprocessing.without_position()
    mean = (own.mean / own.scale).round().clamp(0, 255).numpy().astype(np.uint8)
    x1, y1, x2, y2 = view.area.tolist()
    picture = np.broadcast_to(mean if own.order == "RGB" else mean[::-1], view.pixels.shape).copy()
    picture[y1:y2, x1:x2] = view.pixels[y1:y2, x1:x2]
    return picture


def _around(pixels: np.ndarray, area: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The part of an image around an area, a fifth wider on each side, and the area in it."""
    x1, y1, x2, y2 = area.tolist()
    margin = 0.2 * max(x2 - x1, y2 - y1)
    left, top = max(0, int(x1 - margin)), max(0, int(y1 - margin))
    part = pixels[top : max(top + 1, int(y2 + margin) + 1), left : max(left + 1, int(x2 + margin) + 1)]
    return part, area - np.array([left, top, left, top])


def _outline(axes: Axes, box: np.ndarray, color: str) -> Rectangle:
    from matplotlib.patches import Rectangle

    x1, y1, x2, y2 = (float(v) - 0.5 for v in box)
    line = Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=color, linewidth=1.5)
    axes.add_patch(line)
    return line
