"""COCO's instances files."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from detkit.data.repairs import every
from detkit.errors import DataError
from detkit.system.reading import MIB, bounded_json, told

MAX_BYTES = 4096 * MIB
LIMIT = 1e30


@dataclass(frozen=True)
class COCOImage:
    """One image of the file: its number, file name, (height, width) if given, and its other keys."""

    number: int
    file_name: str
    size: tuple[int, int] | None
    others: Mapping[str, Any]


@dataclass(frozen=True)
class COCOTruth:
    """One ground truth.

    Args:
        where: file and annotation, for messages.
        box: x1, y1, x2, y2 in continuous pixels, x2 and y2 exclusive; not clipped.
        category: COCO's number of its class.
        crowd: whether it is a group of objects in one box.
        area: pixels of its outline, or of its box if the file gives no area.
        difficult: VOC's flag, which ``detkit data convert`` adds to COCO's own.
        truncated: VOC's flag, likewise; None if the file does not say.
        raw: the record of the file.
    """

    where: str
    box: tuple[float, float, float, float]
    category: int
    crowd: bool
    area: float
    difficult: bool
    truncated: bool | None
    raw: Mapping[str, Any]


@dataclass(frozen=True)
class COCOFile:
    """An instances file.

    Args:
        path: the file.
        images: in file order.
        categories: name of each category number.
        annotations: the raw annotations of each image number, or None if the file has no annotations.
        others: the other keys of the file, if everything was kept.
        category_keys: the keys of its categories other than id and name, with their counts.
    """

    path: Path
    images: tuple[COCOImage, ...]
    categories: dict[int, str]
    annotations: dict[int, list[dict[str, Any]]] | None
    others: Mapping[str, Any] = field(default_factory=dict)
    category_keys: tuple[str, ...] = ()

    def truths(self, image: COCOImage) -> list[COCOTruth] | None:
        """The ground truths of an image in file order, or None if the file has none.

        Raises:
            DataError: if an annotation is broken. The message names the first, ``problems`` all of the image.
        """
        if self.annotations is None:
            return None
        return every(functools.partial(self._truth, raw, image) for raw in self.annotations[image.number])

    def _truth(self, raw: dict[str, Any], image: COCOImage) -> COCOTruth:
        where = f"{self.path}: annotation {raw['id']} of image {image.number} ({image.file_name})"
        bbox, category, crowd = raw.get("bbox"), raw.get("category_id"), raw.get("iscrowd", 0)
        if not isinstance(bbox, list) or len(bbox) != 4 or not all(_is_number(n) for n in bbox):
            raise DataError(f"{where} has bbox {bbox!r}; expected four finite numbers: x, y, width, height")
        x, y, width, height = bbox
        if width <= 0 or height <= 0:
            raise DataError(f"{where} has no area: bbox {bbox} (x, y, width, height)")
        if type(category) is not int or category not in self.categories:
            raise DataError(f"{where} has category_id {category!r}; expected one of {sorted(self.categories)}")
        if crowd not in (0, 1):
            raise DataError(f"{where} has iscrowd {crowd!r}; expected 0 or 1")
        area = width * height if raw.get("area") is None else raw["area"]
        if not _is_number(area) or area < 0:
            raise DataError(f"{where} has area {area!r}; expected a number of pixels, 0 or more")
        box, truncated = (x, y, x + width, y + height), raw.get("truncated")
        difficult = raw.get("difficult") in (1, True)
        told = bool(truncated) if truncated in (0, 1) else None
        return COCOTruth(where, box, category, bool(crowd), float(area), difficult, told, raw)


def read_coco_json(path: Path, *, everything: bool = False) -> COCOFile:
    """Reads an instances file. Single annotations are checked only when ``truths`` reads them.

    Args:
        path: the file.
        everything: whether to keep outlines and other keys, too. They are most of a file: gigabytes for train2017.

    Raises:
        DataError: if the file is missing, is no JSON or no instances file, or repeats a key, number or name;
            ``problems`` holds every mistake of its images, categories and annotations.
    """
    missing = (
        f"data set COCO: no file {path} (looked in {path.absolute().parent}); get it from "
        "https://cocodataset.org, unpack it and set DATA.COCO.ANNOTATIONS and DATA.COCO.IMAGES"
    )
    with told(path, "annotations", "COCO annotations in JSON", form="JSON", missing=missing):
        data = bounded_json(path, MAX_BYTES, dict if everything else _without_mask)
    if not isinstance(data, dict) or not all(_is_records(data.get(key)) for key in ("images", "categories")):
        raise DataError(f"{path}: not an instances file; expected a JSON object with the lists images and categories")
    images, categories = data["images"], data["categories"]
    annotations = data.get("annotations", [])
    if not _is_records(annotations):
        raise DataError(f"{path}: annotations is no list of objects")
    numbers = {raw["id"] for raw in images if type(raw.get("id")) is int}
    checks: Iterator[Callable[[], COCOImage | None]] = itertools.chain(
        (functools.partial(_image, raw, f"{path}: image {n}", everything) for n, raw in enumerate(images)),
        (functools.partial(_check_category, raw, f"{path}: category {n}") for n, raw in enumerate(categories)),
        (
            functools.partial(_refuse_repeated, images, "id", f"{path}: image id"),
            functools.partial(_refuse_repeated, categories, "id", f"{path}: category id"),
            functools.partial(_refuse_repeated, categories, "name", f"{path}: category name"),
            functools.partial(_refuse_repeated, annotations, "id", f"{path}: annotation id"),
        ),
        (functools.partial(_check_annotation, raw, n, numbers, path) for n, raw in enumerate(annotations)),
    )
    read = every(checks)
    by_image: dict[int, list[dict[str, Any]]] = {number: [] for number in numbers}
    for raw in annotations:
        by_image[raw["image_id"]].append(raw)
    return COCOFile(
        path,
        tuple(image for image in read if image is not None),
        dict(sorted((raw["id"], raw["name"]) for raw in categories)),
        by_image if "annotations" in data else None,
        {key: value for key, value in data.items() if everything and key not in _OF_A_FILE},
        tuple(key for raw in categories for key in raw if key not in ("id", "name")),
    )


def _without_mask(raw: dict[str, Any]) -> dict[str, Any]:
    """A record without its outline."""
    raw.pop("segmentation", None)
    return raw


def _image(raw: dict[str, Any], where: str, everything: bool) -> COCOImage:
    others = {key: value for key, value in raw.items() if key not in _OF_AN_IMAGE} if everything else {}
    number, name, height, width = (raw.get(key) for key in ("id", "file_name", "height", "width"))
    if type(number) is not int:
        raise DataError(f"{where} has id {number!r}; expected a whole number")
    if not isinstance(name, str) or not name or "\0" in name or "\\" in name:
        raise DataError(f"{where} has file_name {name!r}; expected the path of a file with /")
    if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or not PurePosixPath(name).name:
        raise DataError(f"{where} has file_name {name!r}; expected a path inside the image folder")
    if height is None or width is None:
        return COCOImage(number, name, None, others)
    for key, value in (("height", height), ("width", width)):
        if not _is_number(value) or value < 1 or value != int(value):
            raise DataError(f"{where} has {key} {value!r}; expected a whole number of pixels greater than 0, or null")
    return COCOImage(number, name, (int(height), int(width)), others)


_OF_A_FILE = ("images", "annotations", "categories")
_OF_AN_IMAGE = ("id", "file_name", "height", "width")


def _check_category(raw: dict[str, Any], where: str) -> None:
    number, name = raw.get("id"), raw.get("name")
    if type(number) is not int or not isinstance(name, str):
        raise DataError(f"{where} has id {number!r}, name {name!r}; expected a whole number and a text")


def _check_annotation(raw: dict[str, Any], position: int, images: Container[int], path: Path) -> None:
    number, image = raw.get("id"), raw.get("image_id")
    if type(number) is not int:
        raise DataError(f"{path}: annotation {position} has id {number!r}; expected a whole number")
    if type(image) is not int or image not in images:
        raise DataError(f"{path}: annotation {number} has image_id {image!r}, which is not among the images")


def _is_records(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(raw, dict) for raw in value)


def _is_number(value: Any) -> bool:
    """Neither NaN nor infinite, and the corners of a box of such numbers fit into float32."""
    return type(value) in (int, float) and abs(value) <= LIMIT


def _refuse_repeated(raws: Iterable[dict[str, Any]], key: str, where: str) -> None:
    values = Counter(raw[key] for raw in raws if isinstance(raw.get(key), (int, str)))
    lines = [
        f"{where} {value!r} stands there {'twice' if count == 2 else f'{count} times'}; each may stand there once"
        for value, count in values.items()
        if count > 1
    ]
    if lines:
        raise DataError(lines[0], lines)
