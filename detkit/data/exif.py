"""The rotation that EXIF gives for an image, and its effect on pixels and boxes.

Source: EXIF 2.32, tag 274 (Orientation): 1 as stored, 2 mirrored, 3 turned by 180 degrees, 4 both, 5 to 8 with rows and
columns exchanged.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from detkit.structures import Boxes

Exif = Literal["ignore", "turn", "upright"]
"""What becomes of the rotation: pixels and boxes as stored; both turned upright; or the pixels turned, as the boxes
already are those of the upright photograph."""
TAG = 274
STORED = 1
_NAMES = {
    2: "mirrored",
    3: "turned by 180 degrees",
    4: "mirrored, turned by 180 degrees",
    5: "mirrored, turned by 90 degrees to the left",
    6: "turned by 90 degrees to the right",
    7: "mirrored, turned by 90 degrees to the right",
    8: "turned by 90 degrees to the left",
}


def orientation_of(path: Path) -> int:
    """The orientation 1 to 8 that the file gives; 1 if it gives none or cannot be read."""
    from PIL import Image

    try:
        with _of_any_size(), Image.open(path) as image:
            # Pillow decodes the pixels of a PNG, as its tags may stand behind them.
            is_behind = image.format == "PNG" and b"eXIf" in path.read_bytes()
            found = (image.getexif() if is_behind else Image.Image.getexif(image)).get(TAG, STORED)
    except Exception:  # Pillow raises whatever a broken header leads to; reading the pixels tells what is wrong
        return STORED
    return found if found in _NAMES else STORED


@contextmanager
def _of_any_size() -> Iterator[None]:
    """Lets Pillow open images that it would refuse as too large; only their headers are read here."""
    from PIL import Image

    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def orientation_name(orientation: int) -> str:
    """A text that says how a viewer turns the stored pixels; empty for 1."""
    return _NAMES.get(orientation, "")


def upright_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """The (height, width) of the upright image from that of the stored pixels, or the reverse."""
    return (size[1], size[0]) if orientation >= 5 else size


def upright_pixels(image: np.ndarray, orientation: int) -> np.ndarray:
    """The pixels (H, W, 3) of the upright image from the stored pixels."""
    if orientation >= 5:
        image = image.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return np.ascontiguousarray(image)


def upright_boxes(boxes: Boxes, orientation: int, size: tuple[int, int]) -> Boxes:
    """Boxes of the stored pixels, converted to the upright image.

    Args:
        boxes: boxes in the stored pixels.
        orientation: 1 to 8.
        size: (height, width) of the stored pixels.
    """
    x1, y1, x2, y2 = boxes.tensor.unbind(1)
    height, width = upright_size(size, orientation)
    if orientation >= 5:
        x1, y1, x2, y2 = y1, x1, y2, x2
    if orientation in (2, 3, 6, 7):
        x1, x2 = width - x2, width - x1
    if orientation in (3, 4, 7, 8):
        y1, y2 = height - y2, height - y1
    return Boxes(torch.stack([x1, y1, x2, y2], 1))
