"""Detections that another program or an earlier run wrote."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from detkit.data.base import Dataset
from detkit.errors import DataError
from detkit.evaluation.coco_files import read_coco
from detkit.evaluation.voc_files import read_voc
from detkit.structures import Detections


def read_detections(path: Path, dataset: Dataset, split: str | Sequence[str] = "") -> list[Detections]:
    """The detections of a folder of VOC files or of a COCO results file, for each image of a data set in its order.

    Args:
        path: a folder with comp3 or comp4 files, or a file that ends in .json.
        dataset: the images and classes of the detections.
        split: its name or names, which are part of the names of VOC files.

    Raises:
        DataError: if ``path`` is neither of them, or a line or result cannot be used.
    """
    if path.is_dir():
        return read_voc(path, dataset, split)
    if path.suffix.lower() == ".json":
        return read_coco(path, dataset)
    state = "is neither" if path.exists() else "does not exist"
    raise DataError(f"{path} {state}; expected a folder of comp4_det_<split>_<class>.txt or a COCO results file .json")
