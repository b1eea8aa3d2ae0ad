"""Boxes with names, on a picture of a given size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageDraw

from detkit.visualize.labels import Labels

Color = tuple[int, int, int]


@dataclass(frozen=True)
class Named:
    """A box with a name.

    Args:
        box: x1, y1, x2, y2 in pixels of the image.
        name: text on its upper edge; empty for none.
        color: RGB colour.
        is_thin: whether the line is one pixel wide.
    """

    box: Sequence[float]
    name: str
    color: Color
    is_thin: bool = False


def labelled_picture(
    image: np.ndarray, boxes: Sequence[Named], labels: Labels, *, side: int, title: str = ""
) -> np.ndarray:
    """An image scaled so that its longer side has ``side`` pixels, with boxes and a title above it.

    Args:
        image: (H, W, 3) uint8 RGB.
        boxes: the boxes; later ones are on top.
        labels: has the font.
        side: longer side in pixels.
        title: one line; empty for none.

    Returns:
        (h, w, 3) uint8 RGB.
    """
    scale = side / max(image.shape[:2])
    size = tuple(max(1, round(length * scale)) for length in image.shape[1::-1])
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    font = labels.font(max(11, side // 26))
    strip = round(font.size) + 8 if title else 0
    picture = Image.new("RGB", (small.shape[1], small.shape[0] + strip), "white")
    picture.paste(Image.fromarray(small), (0, strip))
    canvas = ImageDraw.Draw(picture)
    if title:
        canvas.text((3, 3), title, font=font, fill=(20, 20, 20))
    for one in boxes:
        x1, y1, x2, y2 = (round(float(edge) * scale) for edge in one.box)
        edges = (x1, y1 + strip, max(x1, x2 - 1), max(y1, y2 - 1) + strip)
        canvas.rectangle(edges, outline=one.color, width=1 if one.is_thin else max(2, side // 160))
    for one in boxes:
        if one.name:
            left, top = max(0, round(float(one.box[0]) * scale)), max(strip, round(float(one.box[1]) * scale) + strip)
            place = canvas.textbbox((left + 2, top), one.name, font=font)
            canvas.rectangle((place[0] - 2, place[1] - 1, place[2] + 2, place[3] + 1), fill=one.color)
            canvas.text((left + 2, top), one.name, font=font, fill=(0, 0, 0))
    return np.asarray(picture).copy()
