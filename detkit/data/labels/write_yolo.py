"""Writes a data set for YOLO."""

from __future__ import annotations

from pathlib import Path

import yaml

from detkit.data.labels.decimals import share
from detkit.data.labels.form import LabelledObject
from detkit.data.labels.written import NewSet, WrittenImage
from detkit.errors import DataError

NAME = "yolo"
_KEYS = {"valid": "val", "validation": "val"}


def write_yolo(folder: Path, new: NewSet) -> None:
    """Writes data.yaml, images/SPLIT and labels/SPLIT; images and labels for a set without splits.

    Splits of similar names, such as train2012 and train2017, become one. YOLO has only boxes and classes: flags, areas
    and outlines are counted as lost.

    Raises:
        DataError: if YOLO has no key for a split.
    """
    splits: dict[str, dict[str, WrittenImage]] = {}
    for split, own in new.elementary_splits().items():
        splits.setdefault(_key(split), {}).update({image.image_id: image for image in own})
    described: dict[str, object] = {key: f"images/{key}" for key in splits if key}
    described |= {"names": dict(enumerate(new.class_names))}
    labels = {name: number for number, name in enumerate(new.class_names)}
    for key, images in splits.items():
        for name in ("images", "labels"):
            (folder / name / key).mkdir(parents=True)
        for image in images.values():
            new.place(image, folder / "images" / key)
            if image.objects is None:
                continue
            rows = [_row(thing, labels[thing.name], image, new) for thing in image.objects]
            text = "".join(f"{row}\n" for row in rows)
            (folder / "labels" / key / f"{image.image_id}.txt").write_text(text, encoding="utf-8")
    text = yaml.safe_dump(described, sort_keys=False, allow_unicode=True)
    (folder / "data.yaml").write_text(text, encoding="utf-8")


def _key(split: str) -> str:
    key = _KEYS.get(split, split)
    for known in ("train", "val", "test"):
        if key.rstrip("0123456789") == known:
            return known
    if key:
        raise DataError(f"split {split!r}: YOLO has train, val and test alone; rename the list")
    return key


def _row(thing: LabelledObject, label: int, image: WrittenImage, new: NewSet) -> str:
    for kind in ("difficult", "crowd", "truncated", "occluded", "outline"):
        new.lose(f"{kind}, which YOLO has not", image.image_id, int(bool(getattr(thing, kind))))
    new.lose("area of an outline, which YOLO has not", image.image_id, int(thing.area is not None))
    height, width = image.size
    x1, y1, x2, y2 = thing.box
    inside = (min(max(x1, 0), width), min(max(y1, 0), height), min(max(x2, 0), width), min(max(y2, 0), height))
    new.lose("part of a box outside of its image, cut off", image.image_id, int(inside != thing.box))
    x1, y1, x2, y2 = inside
    sides = (width, height, width, height)
    numbers = ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)
    return " ".join([str(label), *(share(n / side, side) for n, side in zip(numbers, sides))])
