"""Writes a data set in COCO's format."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from detkit.data.labels.decimals import number_text, pixels
from detkit.data.labels.form import LabelledObject
from detkit.data.labels.written import NewSet
from detkit.system.files import write_json

NAME = "coco"
MAX_NUMBER = 1 << 53


def write_coco(folder: Path, new: NewSet) -> None:
    """Writes annotations/instances_SPLIT.json, or instances.json for a set without splits, and images.

    If all image names are numbers, these are the image numbers; else each image gets its position. Besides COCO's own
    keys, an annotation has "difficult", "truncated" and "occluded" if the labels say so; detkit reads the first two.
    """
    for name in ("annotations", "images"):
        (folder / name).mkdir()
    for image in new.images:
        new.place(image, folder / "images")
    numbers = _numbers([image.image_id for image in new.images])
    categories = {name: number for number, name in enumerate(new.class_names, 1)}
    counter = itertools.count(1)
    for split, images in new.elementary_splits().items():
        data: dict[str, Any] = {
            "images": [
                {"id": numbers[i.image_id], "file_name": i.file_name, "height": i.size[0], "width": i.size[1]}
                for i in images
            ],
            "categories": [{"id": number, "name": name} for name, number in categories.items()],
        }
        if any(image.objects is not None for image in images):
            data["annotations"] = [
                _annotation(thing, next(counter), numbers[image.image_id], categories[thing.name])
                for image in images
                for thing in image.objects or ()
            ]
        write_json(folder / "annotations" / (f"instances_{split}.json" if split else "instances.json"), data)


def _numbers(image_ids: Sequence[str]) -> dict[str, int]:
    own = [int(name) if name.isdecimal() and name.isascii() else -1 for name in image_ids]
    fits = len(set(own)) == len(own) and all(0 <= number < MAX_NUMBER for number in own)
    return dict(zip(image_ids, own if fits else range(1, len(own) + 1)))


def _annotation(thing: LabelledObject, number: int, image: int, category: int) -> dict[str, Any]:
    x1, y1, x2, y2 = thing.box
    width, height = pixels(x2 - x1), pixels(y2 - y1)
    told: dict[str, Any] = {
        "id": number,
        "image_id": image,
        "category_id": category,
        "bbox": [_plain(n) for n in (pixels(x1), pixels(y1), width, height)],
        "area": _plain(width * height if thing.area is None else thing.area),
        "iscrowd": int(thing.crowd),
    }
    return told | dict(_others(thing))


def _others(thing: LabelledObject) -> Iterator[tuple[str, Any]]:
    if thing.outline:
        yield "segmentation", thing.outline
    # A crowd is difficult in VOC's files, for programs that know no crowds.
    if thing.difficult and not thing.crowd:
        yield "difficult", 1
    for key, value in (("truncated", thing.truncated), ("occluded", thing.occluded)):
        if value is not None:
            yield key, int(value)


def _plain(value: float) -> float | int:
    """48 rather than 48.0, as COCO writes it."""
    return int(number_text(value)) if value == int(value) else value
