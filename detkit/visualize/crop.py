"""A part of an image around boxes, with their outlines."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw

Outline = tuple[Sequence[float], tuple[int, int, int]]
"""x1, y1, x2, y2 in pixels of the whole image, and an RGB colour."""

GREY = 128
LEAST = 24.0
"""Pixels of the smallest part that is shown: less could not be recognised."""


def outlined_crop(
    image: np.ndarray, outlines: Sequence[Outline], *, context: float = 0.3, side: int = 300
) -> np.ndarray:
    """The scaled square around the outlines, with the outlines drawn; grey outside the image.

    Args:
        image: (H, W, 3) uint8 RGB.
        outlines: at least one; later ones are on top. Each has a dark edge, so that it is visible on any picture.
        context: margin around the outlines on each side, as a share of their longer side.
        side: side of the square in pixels.

    Returns:
        (side, side, 3) uint8 RGB.
    """
    corners = np.array([box for box, _ in outlines], float)
    low, high = corners[:, :2].min(0), corners[:, 2:].max(0)
    extent = float((high - low).max())
    length = max(extent, min(max(extent * (1 + 2 * context), LEAST), *image.shape[:2]))
    room = np.array(image.shape[1::-1]) - length
    start = np.where(room > 0, ((low + high - length) / 2).clip(0, np.maximum(room, 0)), room / 2)
    scale = side / length
    picture = Image.fromarray(_scaled_part(image, start, length, side))
    canvas = ImageDraw.Draw(picture)
    for box, color in outlines:
        placed = ((np.array(box, float).reshape(2, 2) - start) * scale).round().astype(int)
        (x1, y1), (x2, y2) = placed.clip([[1, 1], [4, 4]], side - 2).tolist()
        canvas.rectangle((x1 - 1, y1 - 1, x2 + 1, y2 + 1), outline=(15, 15, 15), width=6)
        canvas.rectangle((x1, y1, x2, y2), outline=color, width=4)
    return np.asarray(picture).copy()


def _scaled_part(image: np.ndarray, start: np.ndarray, length: float, side: int) -> np.ndarray:
    """(side, side, 3): the square of ``length`` pixels from ``start`` (x, y); grey outside the image."""
    first = np.floor(start.clip(0)).astype(int)
    last = np.ceil(np.minimum(start + length, image.shape[1::-1])).astype(int)
    part = image[first[1] : last[1], first[0] : last[0]]
    scale = side / length
    size = np.maximum(((last - first) * scale).round(), 1).astype(int).clip(max=side)
    small = cv2.resize(part, size.tolist(), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = ((first - start) * scale).round().astype(int).clip(0, side - size).tolist()
    square = np.full((side, side, 3), GREY, np.uint8)
    square[top : top + size[1], left : left + size[0]] = small
    return square
