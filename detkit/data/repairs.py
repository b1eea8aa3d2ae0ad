"""Repairs of small mistakes in annotation files, and errors that name all mistakes of a file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from detkit.errors import DataError
from detkit.structures import Boxes

# Conversions between conventions move a box out of its image by up to a pixel; that is not worth a line.
ROUNDING = 1.0

T = TypeVar("T")


def cut_to_image(
    rows: Sequence[tuple[float, float, float, float]], wheres: Sequence[str], size: tuple[int, int]
) -> tuple[Boxes, list[str]]:
    """Boxes clipped to their image, and a line for each that reached beyond it by more than ROUNDING pixels.

    Args:
        rows: x1, y1, x2, y2 of N boxes.
        wheres: name of each box, for messages.
        size: (height, width) of the image.

    Raises:
        DataError: if nothing of a box is left.
    """
    height, width = size
    lines = []
    for (x1, y1, x2, y2), where in zip(rows, wheres):
        outside = max(-x1, -y1, x2 - width, y2 - height)
        if outside > ROUNDING:
            lines.append(f"{where} leaves the image of {width}x{height} pixels by {outside:g}; its box was cut")
    # Cut before they become float32, which would make huge numbers infinite.
    limits = (width, height, width, height)
    boxes = Boxes.of([[min(max(edge, 0), limit) for edge, limit in zip(row, limits)] for row in rows])
    gone = [
        f"{wheres[row]} has no area in the image of {width}x{height} pixels: box {list(rows[row])} (x1, y1, x2, y2)"
        for row, area in enumerate(boxes.area().tolist())
        if area <= 0
    ]
    if gone:
        raise DataError(gone[0], gone)
    return boxes, lines


def every(parts: Iterable[Callable[[], T]]) -> list[T]:
    """The results of all parts, in order.

    Raises:
        DataError: if a part raised one: the first, with the problems of all parts.
    """
    results: list[T] = []
    problems: list[str] = []
    for part in parts:
        try:
            results.append(part())
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(problems[0], problems)
    return results


def size_differs(file: Path | str, told: tuple[int, int], size: tuple[int, int]) -> str:
    """The warning for an annotation whose (height, width) differs from the image's; the image's size is used."""
    return f"{file}: gives {told[1]}x{told[0]} pixels, its image has {size[1]}x{size[0]}"
