"""Folders labelled with LabelMe: a JSON file for each image."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

from detkit.data.images import IMAGE_SUFFIXES
from detkit.data.labels.form import (
    ImageLabels,
    LabelledImage,
    LabelledObject,
    LabelSet,
    bounds,
    distinct_ids,
    keys_lost,
    with_polygon,
)
from detkit.data.labels.text_files import flag, number, read_json
from detkit.data.repairs import every
from detkit.errors import DataError, counted

EXPECTED = "LabelMe's JSON with shapes, imagePath, imageHeight and imageWidth"
FILE_KEYS = {"version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth"}
SHAPE_KEYS = {"label", "points", "shape_type", "difficult", "mask", "direction"}
BOXED = {"rectangle": 2, "polygon": 3, "circle": 2, "mask": 2, "rotation": 4}
"""Shapes that have a box, with the least number of their points."""
NO_BOX = {"point", "points", "line", "linestrip", "lineStrip"}


def read_labelme(root: Path) -> LabelSet:
    """The label set of a folder of images and JSON files, which may be in sub-folders; it has no splits.

    Raises:
        DataError: if two images have the same name.
    """
    images = sorted(path for path in root.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and not path.is_dir())
    by_name: dict[Path, list[Path]] = {}
    for path in images:
        by_name.setdefault(path.with_suffix(""), []).append(path)
    texts = sorted(root.rglob("*.json"))
    files = [path for path in texts if path.with_suffix("") in by_name or is_labelme(path)]
    of = {file: _image_of(file, by_name.get(file.with_suffix(""), [])) for file in files}
    ids = distinct_ids([("", path.relative_to(root).with_suffix("").as_posix(), path) for path in of.values()])
    found = [LabelledImage(ids[path], path, functools.partial(_read, file)) for file, path in of.items()]
    missing, others = len(set(images) - set(of.values())), len(texts) - len(files)
    notes = []
    if missing:
        notes.append(f"{root}: {counted(missing, 'image')} without a JSON file: left out as not labelled yet")
    if others:
        notes.append(f"{root}: {counted(others, 'JSON file')} of another format: left out")
    return LabelSet("labelme", root, found, notes=notes)


def is_labelme(file: Path) -> bool:
    """Whether a JSON file looks like LabelMe's, by its first bytes."""
    try:
        with file.open("rb") as opened:
            head = opened.read(1 << 16)
    except OSError:
        return False
    return b'"shapes"' in head or (b'"imagePath"' in head and b'"images"' not in head)


def _read(file: Path, size: tuple[int, int]) -> ImageLabels:
    """The objects of one JSON file; a shape without an area, such as a line, is counted as lost.

    Raises:
        DataError: no LabelMe file, or a shape without label or points, of an unknown type or without area;
            ``problems`` has each.
    """
    data = read_json(file, EXPECTED)
    if not isinstance(data, dict) or not isinstance(data.get("shapes"), list):
        raise DataError(f"{file}: not a LabelMe file; expected {EXPECTED}")
    lost = keys_lost(data, FILE_KEYS)
    flags = data.get("flags")
    lost += Counter(f"flag {name!r}" for name, is_set in flags.items() if is_set) if isinstance(flags, dict) else {}
    shapes = data["shapes"]
    read = every(
        functools.partial(_object, raw, f"{file}: shape {n} of {len(shapes)}", lost) for n, raw in enumerate(shapes, 1)
    )
    height, width = data.get("imageHeight"), data.get("imageWidth")
    told = (height, width) if isinstance(height, int) and isinstance(width, int) and min(height, width) > 0 else None
    return ImageLabels(tuple(thing for thing in read if thing is not None), lost, told)


def _image_of(file: Path, of_its_name: Sequence[Path]) -> Path:
    """The image of a JSON file: the one of its own name, or the one that it names."""
    if len(of_its_name) == 1:
        return of_its_name[0]
    data = read_json(file, EXPECTED)
    named = data.get("imagePath") if isinstance(data, dict) else None
    if isinstance(named, str) and named and "\0" not in named:
        # Windows writes \ between folders; the last part is found beside the JSON file where the path is not.
        parts = PureWindowsPath(named)
        beside = (file.parent / parts.as_posix(), file.parent / parts.name)
        return next((path for path in beside if path.is_file()), beside[1])
    return of_its_name[0] if of_its_name else file.with_suffix(".jpg")


def _object(raw: Any, where: str, lost: Counter[str]) -> LabelledObject | None:
    if not isinstance(raw, dict):
        raise DataError(f"{where} is {raw!r:.60}; expected an object with label, points and shape_type")
    name, kind = raw.get("label"), raw.get("shape_type", "polygon")
    if not isinstance(name, str) or not name.strip():
        raise DataError(f"{where} has label {name!r:.60}; expected a class name")
    where = f"{where} ({name})"
    if kind in NO_BOX:
        lost[f"shape {kind!r}, which has no area"] += 1
        return None
    if kind not in BOXED:
        raise DataError(f"{where} has shape_type {kind!r:.60}; expected one of {', '.join(sorted({*BOXED, *NO_BOX}))}")
    points = _points(raw.get("points"), where)
    if len(points) < BOXED[kind]:
        raise DataError(f"{where} has {counted(len(points), 'point')}; a {kind} has {BOXED[kind]} or more")
    lost += keys_lost(raw, SHAPE_KEYS)
    if kind == "mask":
        (x1, y1), (x2, y2) = points[0], points[1]
        shape: dict[str, Any] = {"box": (x1, y1, x2 + 1, y2 + 1)}  # the last pixel belongs to it
        lost["mask, of which the box is kept"] += 1
    elif kind == "circle":
        shape = {"box": _around(points)}
        lost["circle, of which the box is kept"] += 1
    elif kind in ("polygon", "rotation"):
        shape = with_polygon(points)
    else:
        shape = {"box": bounds(points)}
    x1, y1, x2, y2 = shape["box"]
    if x2 <= x1 or y2 <= y1:
        raise DataError(f"{where} has no area: points {raw['points']!r:.80}")
    difficult = flag(raw.get("difficult") or False, f"{where}: difficult")
    return LabelledObject(where=where, name=name, difficult=difficult, **shape)


def _points(raw: Any, where: str) -> list[tuple[float, float]]:
    if not isinstance(raw, list) or not all(isinstance(point, list) and len(point) == 2 for point in raw):
        raise DataError(f"{where} has points {raw!r:.60}; expected a list of [x, y] in pixels")
    return [(number(x, f"{where}: x"), number(y, f"{where}: y")) for x, y in raw]


def _around(points: Sequence[tuple[float, float]]) -> tuple[float, float, float, float]:
    """The box of a circle, given by its centre and a point on its edge."""
    (x, y), edge = points[0], points[1]
    radius = math.dist((x, y), edge)
    return x - radius, y - radius, x + radius, y + radius
