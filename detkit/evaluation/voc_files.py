"""Detections as PASCAL VOC result files: one text file a class in a folder."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from detkit.data.base import Dataset
from detkit.errors import DataError
from detkit.registry import nearest
from detkit.structures import Boxes, Detections
from detkit.system.reading import MIB, bounded_text, told

MAX_BYTES = 1024 * MIB
LIMIT = 1e30  # Boxes are float32; NaN and infinity fail the comparison as well.
LOG = logging.getLogger(__name__)
FILE_NAME = re.compile(r"comp[34]_det_(.+)\.txt")


def write_voc(folder: Path, split: str | Sequence[str], dataset: Dataset, detections: Sequence[Detections]) -> None:
    """Writes ``comp4_det_<split>_<class>.txt`` for every class.

    A line is ``image score x1 y1 x2 y2`` in inclusive pixels that count from 1; images are in list order. ``read_voc``
    returns the same scores to the bit, and the same boxes if coordinates are 0.001 pixels or more from zero.

    Args:
        folder: the folder; it is created if it does not exist.
        split: part of the file names; several are joined with a "+".
        dataset: has the image ids and class names.
        detections: detections of each image of the data set, in its order.
    """
    lines: list[list[str]] = [[] for _ in dataset.class_names]
    for sample, found in zip(dataset, detections, strict=True):
        rows = zip(found.boxes.tensor.tolist(), found.scores.tolist(), found.labels.tolist())
        for (x1, y1, x2, y2), score, label in rows:
            corners = " ".join(f"{v:.12g}" for v in (x1 + 1, y1 + 1, x2, y2))
            lines[label].append(f"{sample.image_id} {score:.9g} {corners}\n")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in zip(dataset.class_names, lines, strict=True):
        file = folder / file_name(split, name)
        file.write_text("".join(text), encoding="utf-8")


def read_voc(folder: Path, dataset: Dataset, split: str | Sequence[str] = "") -> list[Detections]:
    """The detections of comp3 or comp4 files, for each image of a data set in its order.

    A class without a file has no detections; the log warns of it.

    Args:
        folder: holds ``comp4_det_<split>_<class>.txt`` or ``comp3_det_...``; other files are not read.
        dataset: the images and classes of the detections.
        split: name of the split in the file names of ``write_voc``, which gives the class of such a file. The class of
            any other file is the longest class name that the file name ends with, since splits and classes may hold
            underscores.

    Raises:
        DataError: if there is no such file, the data set does not have a class or image, a class has two files, or a
            line is not six columns with finite numbers.
    """
    images = {sample.image_id: i for i, sample in enumerate(dataset)}
    parts = [_Rows.of([])]
    for label, file in _class_files(folder, dataset.class_names, split).items():
        lines = _lines(file)
        own = _at_once(lines, images)
        if own is None:
            texts = ((number, line) for number, line in enumerate(lines, start=1) if line.strip())
            own = _Rows.of([_parse(line, images, f"{file}:{number}") for number, line in texts])
        parts.append(replace(own, label=np.full(len(own.image), label)))
    return _by_image(parts, len(dataset))


@dataclass(frozen=True, eq=False)
class _Rows:
    """Detections in columns: the row of each image, score, exclusive box and class."""

    image: np.ndarray
    score: np.ndarray
    box: np.ndarray
    label: np.ndarray

    @classmethod
    def of(cls, rows: Sequence[tuple[int, float, list[float]]]) -> _Rows:
        image, score, box = zip(*rows) if rows else ((), (), ())
        boxes = np.array(box, np.float64).reshape(-1, 4)
        return cls(np.array(image, np.int64), np.array(score, np.float64), boxes, np.zeros(len(rows), np.int64))


def _at_once(lines: Sequence[str], images: Mapping[str, int]) -> _Rows | None:
    """All lines of a file, parsed at once; None if a wrong or unusual line needs a parser of single lines."""
    words = [line.split() for line in lines]
    try:
        image = np.array([images[row[0]] for row in words], np.int64)
        numbers = np.array([[float(word) for word in row[1:]] for row in words], np.float64).reshape(len(words), -1)
    except (KeyError, ValueError, IndexError):
        return None
    if not len(words) or numbers.shape[1] != 5 or not (np.abs(numbers) <= LIMIT).all():
        return None
    return _Rows(image, numbers[:, 0], numbers[:, 1:] - [1, 1, 0, 0], np.zeros(len(words), np.int64))


def _by_image(parts: Sequence[_Rows], num_images: int) -> list[Detections]:
    """The detections of each image, class by class in the order of the lines."""
    image = np.concatenate([part.image for part in parts])
    order = np.argsort(image, kind="stable")
    ends = np.cumsum(np.bincount(image, minlength=num_images))[:-1]
    boxes = torch.from_numpy(np.concatenate([part.box for part in parts])[order].astype(np.float32))
    scores = torch.from_numpy(np.concatenate([part.score for part in parts])[order].astype(np.float32))
    labels = torch.from_numpy(np.concatenate([part.label for part in parts])[order])
    columns = (column.tensor_split(ends.tolist()) for column in (boxes, scores, labels))
    return [Detections.of(Boxes(box), score, label) for box, score, label in zip(*columns, strict=True)]


def _class_files(folder: Path, class_names: Sequence[str], split: str | Sequence[str]) -> dict[int, Path]:
    own = {_own_name(split, name): label for label, name in enumerate(class_names)}
    files: dict[int, Path] = {}
    for file in sorted(folder.glob("comp[34]_det_*.txt")):
        label = _label_of(file, class_names, own)
        if label in files:
            raise DataError(
                f"{file}: class {class_names[label]!r} also has {files[label].name}; keep one of them in the folder"
            )
        files[label] = file
    if not files:
        raise DataError(f"{folder}: no detection files; expected one comp4_det_<split>_<class>.txt or comp3_ a class")
    missing = [name for label, name in enumerate(class_names) if label not in files]
    if missing:
        LOG.warning("%s: no file for %s; taken as no detections", folder, ", ".join(missing))
    return files


def _label_of(file: Path, class_names: Sequence[str], own: Mapping[str, int]) -> int:
    """The class of a file; ``own`` has those whose names are known in full."""
    match = FILE_NAME.fullmatch(file.name)
    rest = match.group(1) if match else ""
    if rest in own:
        return own[rest]
    labels = [k for k, name in enumerate(class_names) if rest.endswith("_" + in_file_name(name))]
    if not labels:
        raise DataError(
            f"{file}: its class is none of the data set's.{nearest(rest.rpartition('_')[2], class_names)} "
            f"Expected comp4_det_<split>_<class>.txt with one of {', '.join(class_names)}"
        )
    return max(labels, key=lambda k: len(class_names[k]))


def file_name(split: str | Sequence[str], class_name: str) -> str:
    """The name of the file of one class's detections in one or more splits."""
    return f"comp4_det_{_own_name(split, class_name)}.txt"


def _own_name(split: str | Sequence[str], class_name: str) -> str:
    return f"{in_file_name(split if isinstance(split, str) else '+'.join(split))}_{in_file_name(class_name)}"


def in_file_name(name: str) -> str:
    """A class or split in a file name: it may hold a slash."""
    return name.replace("%", "%25").replace("/", "%2F")


def _lines(file: Path) -> list[str]:
    with told(file, "detections", "lines of image score x1 y1 x2 y2"):
        return bounded_text(file, MAX_BYTES).splitlines()


def _parse(line: str, images: Mapping[str, int], where: str) -> tuple[int, float, list[float]]:
    """Image row, score and exclusive box of a line; an image id may hold spaces."""
    columns = line.rsplit(maxsplit=5)
    if len(columns) != 6:
        raise DataError(f"{where}: {len(columns)} columns; expected six: image score x1 y1 x2 y2")
    try:
        score, x1, y1, x2, y2 = numbers = [float(c) for c in columns[1:]]
    except ValueError:
        numbers = []
    if not numbers or not all(abs(n) <= LIMIT for n in numbers):
        raise DataError(f"{where}: {' '.join(columns[1:])!r} are not five finite numbers: score x1 y1 x2 y2")
    image = columns[0].strip()
    if image not in images:
        raise DataError(
            f"{where}: image {image!r} is not in the data set.{nearest(image, images)} Choose the split that has it"
        )
    return images[image], score, [x1 - 1, y1 - 1, x2, y2]
