"""Annotations in the export format "CVAT for images" of CVAT."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

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
from detkit.data.labels.text_files import flag, number, read_xml
from detkit.data.repairs import every
from detkit.errors import DataError, counted

EXPECTED = 'CVAT\'s "CVAT for images 1.1"'
SHAPES = ("box", "polygon", "ellipse", "mask", "cuboid")
NO_BOX = ("polyline", "points", "skeleton", "tag")
KNOWN = {"label", "occluded", "source", "z_order", "xtl", "ytl", "xbr", "ybr", "points", "rotation", "truncated"}
KNOWN |= {"cx", "cy", "rx", "ry", "left", "top", "width", "height", "rle", "difficult"}
CORNERS = tuple(f"{axis}{side}{n}" for side in ("tl", "bl", "tr", "br") for n in "12" for axis in "xy")
FLAGS = ("truncated", "difficult")
"""Attributes that the form can hold."""


def read_cvat(place: Path) -> LabelSet:
    """The label set of an XML file and the images that it names, which are below its folder.

    The subsets of the project are its splits.

    Args:
        place: the file, or a folder that holds one such file.

    Raises:
        DataError: if there is no such file or several, if it is "CVAT for video", or if an image has no name.
    """
    file = place if place.is_file() else _only_file(place)
    root = file.parent
    top = read_xml(file, EXPECTED)
    if top.tag != "annotations":
        raise DataError(f"{file}: not CVAT's: its root element is <{top.tag}>, expected <annotations>")
    if (tracks := len(top.findall("track"))) > 0:
        raise DataError(
            f"{file}: holds {counted(tracks, 'track')} of a video; export the task from CVAT as {EXPECTED}, with images"
        )
    nodes = top.findall("image")
    there = {path for path in root.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES}
    by_name: dict[str, list[Path]] = {}
    for path in there:
        by_name.setdefault(path.name, []).append(path)
    placed = every(functools.partial(_placed, node, file, root, by_name) for node in nodes)
    ids = distinct_ids([(split, Path(name).with_suffix("").as_posix(), path) for split, name, path in placed])
    if len(ids) < len(placed):
        names = Counter(name for _, name, _ in placed)
        twice = next(name for name, count in names.items() if count > 1)
        raise DataError(f"{file}: image {twice} stands there {names[twice]} times; each may stand there once")
    images = [
        LabelledImage(ids[path], path, functools.partial(_read, node, f"{file}: image {name}"))
        for node, (_, name, path) in zip(nodes, placed)
    ]
    splits: dict[str, list[str]] = {}
    for split, _, path in placed:
        splits.setdefault(split.lower(), []).append(ids[path])
    missing = len(there - set(ids))
    notes = [f"{file}: {counted(missing, 'image')} that it does not name: left out"] if missing else []
    return LabelSet("cvat", root, images, splits if any(splits) else {}, notes=notes)


def _only_file(folder: Path) -> Path:
    files = sorted(path for path in folder.rglob("*.xml") if is_cvat(path))
    if len(files) != 1:
        named = f": {', '.join(str(path.relative_to(folder)) for path in files)}" if files else ""
        raise DataError(f"{folder}: {counted(len(files), 'XML file')} of CVAT{named}; name one of them instead")
    return files[0]


def is_cvat(file: Path) -> bool:
    """Whether an XML file looks like CVAT's, by its first bytes."""
    try:
        with file.open("rb") as opened:
            return b"<annotations" in opened.read(4096)
    except OSError:
        return False


def _placed(node: Element, file: Path, root: Path, by_name: dict[str, list[Path]]) -> tuple[str, str, Path]:
    """Subset, name and file of an image; the name may leave out the folder into which the export put it."""
    name, subset = node.get("name", ""), node.get("subset", "")
    if not name or "\0" in name or "\\" in name or ".." in Path(name).parts or Path(name).is_absolute():
        raise DataError(f"{file}: image {node.get('id')} has name {name!r}; expected a path inside the folder")
    usual = (root / name, root / "images" / name, root / "images" / subset / name, root / subset / name)
    path = next((path for path in usual if path.is_file()), None)
    if path is None:
        same = by_name.get(Path(name).name, [])
        path = same[0] if len(same) == 1 else usual[0]
    return subset, name, path


def _read(node: Element, where: str, size: tuple[int, int]) -> ImageLabels:
    lost: Counter[str] = Counter()
    known = {"id", "name", "width", "height", "subset", "task_id"}
    lost += keys_lost({key: _told(value) for key, value in node.attrib.items()}, known, "attribute")
    shapes = list(node)
    read = every(
        functools.partial(_object, shape, f"{where}: shape {n} of {len(shapes)}", lost)
        for n, shape in enumerate(shapes, 1)
    )
    told = node.get("height", ""), node.get("width", "")
    known_size = (int(told[0]), int(told[1])) if all(t.isdecimal() and int(t) for t in told) else None
    return ImageLabels(tuple(thing for thing in read if thing is not None), lost, known_size)


def _told(value: str) -> str:
    return "" if value in ("0", "0.0", "false") else value


def _object(shape: Element, where: str, lost: Counter[str]) -> LabelledObject | None:
    kind, name = shape.tag, shape.get("label", "")
    if not name.strip():
        raise DataError(f"{where} <{kind}> has no label; expected a class name")
    where = f"{where} ({name})"
    if kind in NO_BOX:
        lost[f"<{kind}>, which has no box"] += 1
        return None
    if kind not in SHAPES:
        raise DataError(f"{where} is <{kind}>; expected one of {', '.join(f'<{tag}>' for tag in (*SHAPES, *NO_BOX))}")
    lost += keys_lost({key: _told(v) for key, v in shape.attrib.items()}, {*KNOWN, *CORNERS}, "attribute")
    told = {key: shape.get(key) for key in FLAGS if shape.get(key) is not None}
    for attribute in shape.findall("attribute"):
        key, value = attribute.get("name", ""), (attribute.text or "").strip()
        if key.lower() in FLAGS and value.lower() in ("true", "false", "0", "1"):
            told[key.lower()] = value
        elif _told(value):
            lost[f"attribute {key!r}"] += 1
    outline = _SHAPES[kind](shape, where, lost)
    x1, y1, x2, y2 = outline["box"]
    if x2 <= x1 or y2 <= y1:
        raise DataError(f"{where} has no area: {x1:g}, {y1:g}, {x2:g}, {y2:g} (x1, y1, x2, y2)")
    flags: dict[str, Any] = {key: flag(value, f"{where}: {key}") for key, value in told.items()}
    occluded = flag(shape.get("occluded", "0"), f"{where}: occluded")
    return LabelledObject(where=where, name=name, occluded=occluded, **flags, **outline)


def _numbers(shape: Element, where: str, *keys: str) -> list[float]:
    return [number(shape.get(key), f"{where}: {key}") for key in keys]


def _box(shape: Element, where: str, lost: Counter[str]) -> dict[str, Any]:
    x1, y1, x2, y2 = _numbers(shape, where, "xtl", "ytl", "xbr", "ybr")
    if x2 <= x1 or y2 <= y1:
        raise DataError(f"{where} has no area: {x1:g}, {y1:g}, {x2:g}, {y2:g} (xtl, ytl, xbr, ybr)")
    angle = number(shape.get("rotation", "0"), f"{where}: rotation") % 360
    if not angle:
        return {"box": (x1, y1, x2, y2)}
    lost["rotation, of which the upright box around it is kept"] += 1
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    cx, cy = (x1 + x2) / 2, (y1 + y2) / 2
    turned = [
        (cx + (x - cx) * cos - (y - cy) * sin, cy + (x - cx) * sin + (y - cy) * cos)
        for x, y in ((x1, y1), (x2, y1), (x2, y2), (x1, y2))
    ]
    return with_polygon(turned)


def _polygon(shape: Element, where: str, lost: Counter[str]) -> dict[str, Any]:
    texts = [point.split(",") for point in shape.get("points", "").split(";")]
    if len(texts) < 3 or any(len(text) != 2 for text in texts):
        raise DataError(f"{where} has points {shape.get('points')!r:.60}; expected three or more as x,y;x,y;x,y")
    return with_polygon([(number(x, f"{where}: x"), number(y, f"{where}: y")) for x, y in texts])


def _ellipse(shape: Element, where: str, lost: Counter[str]) -> dict[str, Any]:
    cx, cy, rx, ry = _numbers(shape, where, "cx", "cy", "rx", "ry")
    turn = math.radians(number(shape.get("rotation", "0"), f"{where}: rotation"))
    half_width = math.hypot(rx * math.cos(turn), ry * math.sin(turn))
    half_height = math.hypot(rx * math.sin(turn), ry * math.cos(turn))
    lost["ellipse, of which the box is kept"] += 1
    box = (cx - half_width, cy - half_height, cx + half_width, cy + half_height)
    return {"box": box, "area": abs(math.pi * rx * ry)}


def _mask(shape: Element, where: str, lost: Counter[str]) -> dict[str, Any]:
    left, top, width, height = _numbers(shape, where, "left", "top", "width", "height")
    lost["mask, of which the box is kept"] += 1
    return {"box": (left, top, left + width, top + height)}


def _cuboid(shape: Element, where: str, lost: Counter[str]) -> dict[str, Any]:
    found: Sequence[float] = _numbers(shape, where, *CORNERS)
    lost["cuboid, of which the box is kept"] += 1
    return {"box": bounds(list(zip(found[::2], found[1::2])))}


_SHAPES = {"box": _box, "polygon": _polygon, "ellipse": _ellipse, "mask": _mask, "cuboid": _cuboid}
