"""Folders in COCO's format, as a label set."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from detkit.data.coco_files import COCOSplit, find_coco_files
from detkit.data.coco_json import COCOFile, COCOImage, COCOTruth, read_coco_json
from detkit.data.labels.form import ImageLabels, LabelledImage, LabelledObject, LabelSet, distinct_ids, holds, keys_lost
from detkit.errors import DataError

KNOWN = (
    "id",
    "image_id",
    "category_id",
    "bbox",
    "area",
    "iscrowd",
    "segmentation",
    "difficult",
    "truncated",
    "occluded",
)


def read_coco(place: Path) -> LabelSet:
    """The label set of a folder in COCO's layout, or of one instances file.

    Args:
        place: the folder, or the JSON file, whose images are then beside it.

    Raises:
        DataError: if there is no instances file, or it cannot be read.
    """
    root = place.parent if place.is_file() else place
    found = _found(place, root)
    files = {split: read_coco_json(split.annotations, everything=True) for split in found}
    names = [name for file in files.values() for name in file.categories.values()]
    listed = [(split, image) for split, file in files.items() for image in file.images]
    ids = distinct_ids([(split.name, _stem(image), split.images / image.file_name) for split, image in listed])
    images: dict[Path, LabelledImage] = {}
    of: dict[Path, Path] = {}
    splits: dict[str, list[str]] = {}
    for split, image in listed:
        path, file = split.images / image.file_name, files[split]
        if path in images:
            raise DataError(f"{file.path}: image {image.number}: {path} stands in {of[path]}, too; each may stand once")
        of[path] = file.path
        read = None if file.annotations is None else functools.partial(_read, file, image)
        images[path] = LabelledImage(ids[path], path, read)
        splits.setdefault(split.name, []).append(ids[path])
    lost: Counter[str] = Counter()
    for file in files.values():
        lost.update(f"key {key!r} of the file" for key, value in file.others.items() if holds(value))
        lost.update(f"key {key!r} of a category" for key in file.category_keys)
    return LabelSet(
        "coco",
        root,
        list(images.values()),
        splits if any(splits) else {},
        list(dict.fromkeys(names)),
        lost=lost,
    )


def _found(place: Path, root: Path) -> Sequence[COCOSplit]:
    found = find_coco_files(root)
    if place.is_file():
        found = [COCOSplit("", split.annotations, split.images) for split in found if split.annotations == place]
    if not found:
        raise DataError(f"{place}: no instances file of COCO; expected a JSON object with images and categories")
    return found


def _stem(image: COCOImage) -> str:
    return PurePosixPath(image.file_name).with_suffix("").as_posix()


def _read(file: COCOFile, image: COCOImage, size: tuple[int, int]) -> ImageLabels:
    truths = file.truths(image) or []
    lost = keys_lost(image.others, (), "key of the image")
    for truth in truths:
        lost += keys_lost(truth.raw, KNOWN)
    objects = tuple(
        LabelledObject(
            where=truth.where,
            name=file.categories[truth.category],
            box=truth.box,
            difficult=truth.difficult,
            crowd=truth.crowd,
            truncated=truth.truncated,
            occluded={0: False, 1: True}.get(truth.raw.get("occluded", -1)),
            area=_area_of_outline(truth),
            outline=truth.raw.get("segmentation") or None,
        )
        for truth in truths
    )
    return ImageLabels(objects, lost, image.size)


def _area_of_outline(truth: COCOTruth) -> float | None:
    """The area of an object; None if it is that of the box, which COCO's files give for every object."""
    x1, y1, x2, y2 = truth.box
    return None if math.isclose(truth.area, (x2 - x1) * (y2 - y1), rel_tol=1e-6) else truth.area
