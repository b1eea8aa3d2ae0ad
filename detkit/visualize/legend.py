"""A legend of the colours of boxes, above a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from detkit.visualize.draw import TRUTH_COLOR
from detkit.visualize.labels import Labels, class_color

HEIGHT, SIZE, GAP = 22, 13, 8
"""Pixels of a line, of its letters and between its entries."""


def with_legend(picture: np.ndarray, class_names: Sequence[str]) -> np.ndarray:
    """A picture below a legend of at most four lines, with the colours of the ground truth and of each class.

    Args:
        picture: (H, W, 3) uint8 RGB, as ``picture_grid`` draws it.
        class_names: the K classes.

    Returns:
        (h + H, W, 3) uint8 RGB.
    """
    labels = Labels.of(class_names)
    font = labels.font(SIZE)
    entries = [("annotated object", TRUTH_COLOR)]
    entries += [(f"{name}, detected", class_color(k)) for k, name in enumerate(labels.names)]
    band = Image.new("RGB", (picture.shape[1], 4 * HEIGHT), "white")
    canvas = ImageDraw.Draw(band)
    x, line = GAP, 0
    for text, color in entries:
        width = HEIGHT + round(font.getlength(text)) + GAP
        if x > GAP and x + width > band.width:
            x, line = GAP, line + 1
        if line == 4:
            break
        top = line * HEIGHT + (HEIGHT - SIZE) // 2
        canvas.rectangle((x, top, x + SIZE, top + SIZE), outline=color, width=3)
        canvas.text((x + HEIGHT, top - 2), text, font=font, fill="black")
        x += width
    return np.concatenate([np.asarray(band)[: min(line + 1, 4) * HEIGHT], picture])
