"""VOC annotation files."""

from __future__ import annotations

import functools
import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element

from detkit.data.repairs import every
from detkit.data.xml_tree import parse_xml
from detkit.errors import DataError

MAX_DIGITS = 9


@dataclass(frozen=True)
class VOCObject:
    """One object of an annotation file.

    Args:
        where: file, line and position, for messages.
        name: its class.
        box: x1, y1, x2, y2 in continuous pixels, x2 and y2 exclusive; not clipped.
        difficult: VOC's flag.
        truncated: VOC's flag; None if the file does not say.
        occluded: VOC's flag; None if the file does not say.
        crowd: COCO's flag, in <iscrowd>, which ``detkit data convert`` writes.
        area: pixels of its outline, in <area>, which ``detkit data convert`` writes; None if the file does not say.
        unread: names of its other elements that are not empty.
    """

    where: str
    name: str
    box: tuple[float, float, float, float]
    difficult: bool
    truncated: bool | None = None
    occluded: bool | None = None
    crowd: bool = False
    area: float | None = None
    unread: tuple[str, ...] = ()


@dataclass(frozen=True)
class VOCAnnotation:
    """One annotation file.

    Args:
        size: the (height, width) that the file gives, or None if it gives none.
        objects: the objects in file order.
        unread: names of its other elements that are not empty.
    """

    size: tuple[int, int] | None
    objects: tuple[VOCObject, ...]
    unread: tuple[str, ...] = ()


def read_voc_xml(file: Path) -> VOCAnnotation:
    """Reads an annotation file.

    VOC counts pixels from 1, and its box includes the last pixel. Boxes here are (x1 - 1, y1 - 1, x2, y2) of the file.
    Coordinates may be fractional, as in VOC since 2011.

    Raises:
        DataError: if the file is no VOC annotation, an object has no name or box, an element is repeated, a coordinate
            is no finite number, or a box is inverted. The message names file, line and object; ``problems`` holds the
            mistakes of all objects.
    """
    root, lines = parse_xml(file, "object")
    if root.tag != "annotation":
        raise DataError(f"{file}: not a VOC annotation: its root element is <{root.tag}>, expected <annotation>")
    objects = root.findall("object")
    read = every(
        functools.partial(_object, node, f"{file}:{line}: object {n} of {len(objects)}")
        for n, (node, line) in enumerate(zip(objects, lines, strict=True), 1)
    )
    return VOCAnnotation(_size(root, file), tuple(read), _unread(root, _OF_THE_FILE))


def _size(root: Element, file: Path) -> tuple[int, int] | None:
    """The size where both numbers are there; some tools write zeros or leave it out."""
    size = _only(root, "size", str(file))
    height, width = ("" if size is None else _text(size, key, f"{file}: <size>") for key in ("height", "width"))
    if len(height) > MAX_DIGITS or len(width) > MAX_DIGITS:
        raise DataError(f"{file}: <size> gives {width:.20}x{height:.20} pixels; expected at most {MAX_DIGITS} digits")
    if not (height.isdecimal() and width.isdecimal()) or not int(height) or not int(width):
        return None
    return int(height), int(width)


def _object(node: Element, where: str) -> VOCObject:
    name = _text(node, "name", where)
    if not name:
        raise DataError(f"{where} has no <name>")
    where = f"{where} ({name})"
    box = _only(node, "bndbox", where)
    if box is None:
        raise DataError(f"{where} has no <bndbox>")
    x1, y1, x2, y2 = (_coordinate(box, key, where) for key in ("xmin", "ymin", "xmax", "ymax"))
    if x2 < x1 or y2 < y1:
        raise DataError(
            f"{where} has an inverted box: xmin {x1:g}, ymin {y1:g}, xmax {x2:g}, ymax {y2:g}; xmax and ymax "
            "may not be less than xmin and ymin"
        )
    difficult = _text(node, "difficult", where) or "0"
    if difficult not in ("0", "1"):
        raise DataError(f"{where} has <difficult> {difficult!r}; expected 0 or 1")
    # Labelling tools write these flags in many ways; only VOC's own are taken, and no file is refused for them.
    truncated, occluded, crowd = (_FLAGS.get(_first_text(node, key)) for key in ("truncated", "occluded", "iscrowd"))
    return VOCObject(
        where,
        name,
        (x1 - 1, y1 - 1, x2, y2),
        difficult == "1",
        truncated,
        occluded,
        bool(crowd),
        _area(node, where),
        _unread(node, _OF_AN_OBJECT),
    )


_FLAGS = {"0": False, "1": True}
_OF_THE_FILE = {"object", "size", "folder", "filename", "path"}
_OF_AN_OBJECT = {"name", "bndbox", "difficult", "truncated", "occluded", "iscrowd", "area"}


def _first_text(node: Element, key: str) -> str:
    return (node.findtext(key) or "").strip()


def _area(node: Element, where: str) -> float | None:
    text = _text(node, "area", where)
    if not text:
        return None
    try:
        area = float(text)
    except ValueError:
        area = math.nan
    if not 0 <= area < math.inf:
        raise DataError(f"{where} has <area> {text!r}; expected a number of pixels, 0 or more")
    return area


def _unread(node: Element, known: Collection[str]) -> tuple[str, ...]:
    """The elements inside that are not known and hold more than zeros or VOC's word for nothing."""
    return tuple(
        child.tag
        for child in node
        if child.tag not in known and (len(child) or (child.text or "").strip() not in ("", "0", "Unspecified"))
    )


def _only(node: Element, key: str, where: str) -> Element | None:
    """The element of that name inside another, or None; which of two is meant nobody can tell."""
    found = node.findall(key)
    if len(found) > 1:
        raise DataError(f"{where} has <{key}> {len(found)} times; expected it once")
    return found[0] if found else None


def _text(node: Element, key: str, where: str) -> str:
    """The text of the element of that name, without space around it; empty where there is none."""
    found = _only(node, key, where)
    return ((None if found is None else found.text) or "").strip()


def _coordinate(box: Element, key: str, where: str) -> float:
    if _only(box, key, where) is None:
        raise DataError(f"{where} has no <{key}>")
    text = _text(box, key, where)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{where} has <{key}> {text!r}; expected a finite number")
    return value
