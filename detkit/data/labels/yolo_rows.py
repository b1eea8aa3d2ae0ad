"""The rows of YOLO's text files."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from detkit.data.labels.form import ImageLabels, LabelledObject, with_polygon
from detkit.data.labels.text_files import number, read_text
from detkit.data.repairs import every
from detkit.errors import DataError

EXPECTED = "a row for each object: class number, then centre x, centre y, width and height as shares of the image"
TOLERANCE = 1e-3
"""Rounding takes shares out of 0 to 1 by less than this."""


def read_yolo_rows(file: Path, names: Sequence[str], num_keypoints: int, size: tuple[int, int]) -> ImageLabels:
    """The objects of one label file.

    A row holds one of these:

    - a box;
    - a box and a confidence;
    - a box and keypoints (``num_keypoints`` more numbers);
    - a polygon of three corners or more, also for rotated boxes.

    Args:
        file: the text file; if it is missing, the image has no object.
        names: the class of each number.
        num_keypoints: number of values for keypoints in a row, 0 for none.
        size: (height, width) of the image.

    Raises:
        DataError: if a row has another length, a class number has no name, a share is not in 0 to 1, or a box has no
            area; ``problems`` holds all mistakes.
    """
    if not file.exists():
        return ImageLabels(())
    rows = [(n, line.split()) for n, line in enumerate(read_text(file, EXPECTED).splitlines(), 1) if line.strip()]
    lost: Counter[str] = Counter()
    objects = every(
        functools.partial(_object, words, f"{file}:{n}", names, num_keypoints, size, lost) for n, words in rows
    )
    return ImageLabels(tuple(objects), lost)


def _object(
    words: Sequence[str],
    where: str,
    names: Sequence[str],
    num_keypoints: int,
    size: tuple[int, int],
    lost: Counter[str],
) -> LabelledObject:
    name = _name(words[0], names, where)
    where = f"{where}: object ({name})"
    values = [number(word, f"{where}: number {n}") for n, word in enumerate(words[1:], 1)]
    height, width = size
    if len(values) in (4, 5, 4 + num_keypoints):
        _check_shares(values[:4], where)
        if len(values) > 4:
            lost["keypoints" if num_keypoints and len(values) == 4 + num_keypoints else "confidence"] += 1
        cx, cy, w, h = values[:4]
        if w <= 0 or h <= 0:
            raise DataError(f"{where} has no area: width {w:g}, height {h:g}")
        box = ((cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height)
        return LabelledObject(where=where, name=name, box=box)
    if len(values) < 6 or len(values) % 2:
        raise DataError(f"{where} has {len(words)} numbers; expected 5 (a box), or 7, 9, 11, ... (a polygon)")
    _check_shares(values, where)
    points = [(x * width, y * height) for x, y in zip(values[::2], values[1::2])]
    return LabelledObject(where=where, name=name, **with_polygon(points))


def _name(word: str, names: Sequence[str], where: str) -> str:
    value = number(word, f"{where}: the class number")
    if value != int(value) or not 0 <= value < len(names) or not names[int(value)]:
        raise DataError(f"{where} has class number {word!r:.60}; expected a whole number from 0 to {len(names) - 1}")
    return names[int(value)]


def _check_shares(values: Sequence[float], where: str) -> None:
    for value in values:
        if not -TOLERANCE <= value <= 1 + TOLERANCE:
            hint = "; these look like pixels, YOLO takes shares of the image" if value > 2 else ""
            raise DataError(f"{where} has {value:g}; expected shares of the image from 0 to 1{hint}")
