"""Detections as a COCO results file: one JSON list."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detkit.data.base import Dataset
from detkit.errors import DataError
from detkit.structures import Boxes, Detections
from detkit.system.reading import MIB, bounded_json, told

MAX_BYTES = 4096 * MIB
LIMIT = 1e30  # The corners of a box must fit into float32; NaN and infinity fail the comparison as well.
KEYS = ("image_id", "category_id", "bbox", "score")


def write_coco(file: Path, dataset: Dataset, detections: Sequence[Detections]) -> None:
    """Writes a list of {"image_id", "category_id", "bbox": [x, y, width, height], "score"}, images in list order.

    Image numbers and category ids are those of a COCO data set. Other data sets have none: the image id is then the
    data set's own, a string, and the category is the position of the class, from 1.

    Args:
        file: the file; its folder is created if it does not exist.
        dataset: has the image and category ids.
        detections: detections of each image of the data set, in its order.
    """
    categories = _category_ids(dataset)
    entries = []
    for image, found in zip(_image_ids(dataset), detections, strict=True):
        rows = zip(found.boxes.tensor.tolist(), found.scores.tolist(), found.labels.tolist())
        for (x1, y1, x2, y2), score, label in rows:
            bbox = [x1, y1, x2 - x1, y2 - y1]
            entries.append({"image_id": image, "category_id": categories[label], "bbox": bbox, "score": score})
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("[" + ",\n".join(json.dumps(e, ensure_ascii=False) for e in entries) + "]\n", encoding="utf-8")


def read_coco(file: Path, dataset: Dataset) -> list[Detections]:
    """The detections of a results file, for each image of a data set in its order.

    Raises:
        DataError: if the file is no JSON list of results, repeats a key in a result, names an image or category that
            the data set does not have, or has values that are no numbers. The message names the position in the list,
            from 0.
    """
    missing = f"{file}: no such file; expected a COCO results file"
    with told(file, "results", "COCO results, a JSON list", form="JSON", missing=missing):
        entries = bounded_json(file, MAX_BYTES)
    if not isinstance(entries, list):
        raise DataError(f"{file}: holds a JSON {type(entries).__name__}; expected COCO results, a list of {_shape()}")
    images: dict[str | int, int] = {image: row for row, image in enumerate(_image_ids(dataset))}
    labels = {category: label for label, category in enumerate(_category_ids(dataset))}
    rows: list[list[tuple[list[float], float, int]]] = [[] for _ in range(len(dataset))]
    for position, entry in enumerate(entries):
        image, box, score, label = _parse(entry, images, labels, f"{file}: result {position}")
        rows[image].append((box, score, label))
    return [Detections.of(Boxes.of([b for b, _, _ in r]), [s for _, s, _ in r], [k for _, _, k in r]) for r in rows]


def _parse(
    entry: Any, images: Mapping[str | int, int], labels: Mapping[int, int], where: str
) -> tuple[int, list[float], float, int]:
    """Image row, exclusive box, score and label of one result."""
    if not isinstance(entry, dict) or not all(key in entry for key in KEYS):
        raise DataError(f"{where} is {json.dumps(entry)[:80]}; expected {_shape()}")
    image, category, bbox, score = (entry[key] for key in KEYS)
    numbers = [*bbox, score] if isinstance(bbox, list) else []
    if len(numbers) != 5 or not all(map(_is_finite, numbers)):
        raise DataError(f"{where} has bbox {bbox!r}, score {score!r}; expected four finite numbers and one")
    if type(image) not in (str, int) or image not in images:
        raise DataError(f"{where}: image_id {image!r} is not in the data set; choose the split that has it")
    if type(category) is not int or category not in labels:
        raise DataError(f"{where}: category_id {category!r} is not in the data set; expected one of {list(labels)}")
    x, y, width, height = bbox
    return images[image], [x, y, x + width, y + height], score, labels[category]


def _is_finite(number: Any) -> bool:
    return type(number) in (int, float) and abs(number) <= LIMIT


def _shape() -> str:
    return '{"image_id", "category_id", "bbox": [x, y, width, height], "score"}'


def _image_ids(dataset: Dataset) -> list[str | int]:
    return list(getattr(dataset, "image_numbers", None) or [sample.image_id for sample in dataset])


def _category_ids(dataset: Dataset) -> list[int]:
    return list(getattr(dataset, "category_ids", None) or range(1, len(dataset.class_names) + 1))
