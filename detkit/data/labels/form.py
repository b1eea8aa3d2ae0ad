"""The common form of all formats: objects in images, with everything that label files can say about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detkit.errors import DataError

Box = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class LabelledObject:
    """One object of one image.

    Args:
        where: file and object, for messages.
        name: its class.
        box: x1, y1, x2, y2 in continuous pixels, x2 and y2 exclusive; not clipped.
        difficult: VOC's flag.
        crowd: COCO's flag: a group of objects in one box.
        truncated: whether the object extends beyond its box; None if the file does not say.
        occluded: whether a part of it is hidden; None if the file does not say.
        area: pixels of its outline; None if this is the area of the box.
        outline: polygons or a mask in the form of COCO's "segmentation"; None if the file has only a box.
    """

    where: str
    name: str
    box: Box
    difficult: bool = False
    crowd: bool = False
    truncated: bool | None = None
    occluded: bool | None = None
    area: float | None = None
    outline: Any = None


@dataclass(frozen=True)
class ImageLabels:
    """The labels of one image.

    Args:
        objects: the objects in file order.
        lost: counts of values that this form cannot hold, by kind, such as "key 'pose'".
        size: the (height, width) that the file gives, or None.
    """

    objects: tuple[LabelledObject, ...]
    lost: Mapping[str, int] = field(default_factory=dict)
    size: tuple[int, int] | None = None


Read = Callable[[tuple[int, int]], ImageLabels]
"""Reads the labels of an image of this (height, width).

Raises:
    DataError: a broken label file; ``problems`` has every mistake of it.
"""


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """One image of a set of label files.

    Args:
        image_id: its path without suffix, relative to the folder of the images.
        path: the image file; it need not exist.
        read: reads its labels; None if the set has no labels of the image.
    """

    image_id: str
    path: Path
    read: Read | None


@dataclass(frozen=True, eq=False)
class LabelSet:
    """All images of a folder with label files.

    Args:
        format: name of the format, as for ``detkit data convert --from``.
        root: the folder.
        images: all images, with different ids.
        splits: the image ids of each split; "" holds those in no split. Empty if the folder has no splits.
        class_names: the classes in the order of the format's own numbers; empty if it has none.
        notes: facts for the reader: images without labels, lists that were left out.
        lost: counts of values outside the images' labels that cannot be converted, by kind.
    """

    format: str
    root: Path
    images: Sequence[LabelledImage]
    splits: Mapping[str, Sequence[str]] = field(default_factory=dict)
    class_names: Sequence[str] = ()
    notes: Sequence[str] = ()
    lost: Mapping[str, int] = field(default_factory=dict)


def keys_lost(raw: Mapping[str, Any], known: Iterable[str], what: str = "key") -> Counter[str]:
    """The unknown keys of a record that are not empty, as kinds of lost values.

    Args:
        raw: the record.
        known: keys that are converted or carry no information.
        what: the format's word for a key.
    """
    known = set(known)
    return Counter(f"{what} {key!r}" for key, value in raw.items() if key not in known and holds(value))


def holds(value: Any) -> bool:
    """Whether a value carries information: it is no empty text, list or record, no zero, no null, no false."""
    return bool(value) and value != "Unspecified"


def bounds(points: Sequence[tuple[float, float]]) -> Box:
    """The box around points (x, y)."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return min(xs), min(ys), max(xs), max(ys)


def polygon_area(points: Sequence[tuple[float, float]]) -> float:
    """The area that a polygon encloses, by the shoelace formula."""
    after = [*points[1:], *points[:1]]
    return abs(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in zip(points, after))) / 2


def with_polygon(points: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Box, area and outline of an object that is a polygon, as arguments of ``LabelledObject``."""
    flat = [number for point in points for number in point]
    return {"box": bounds(points), "area": polygon_area(points), "outline": [flat]}


def distinct_ids(named: Sequence[tuple[str, str, Path]]) -> dict[Path, str]:
    """An id for each image file: its own name, after the name of its split if two files have the same name.

    Args:
        named: (split, name, file) of each image; a file may be in several splits.

    Raises:
        DataError: if two files of one split have the same name.
    """
    files_of: dict[str, set[Path]] = {}
    for _, name, path in named:
        files_of.setdefault(name, set()).add(path)
    ids: dict[Path, str] = {}
    for split, name, path in named:
        ids.setdefault(path, name if len(files_of[name]) == 1 or not split else f"{split}/{name}")
    first: dict[str, Path] = {}
    for path, image_id in ids.items():
        if first.setdefault(image_id, path) is not path:
            raise DataError(f"{path}: another image has the same name: {first[image_id]}; rename one of them")
    return ids
