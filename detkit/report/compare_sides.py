"""The two sides of a comparison: finished runs, or detection files of any program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from detkit.config import load_config
from detkit.config.node import Config
from detkit.data.base import Dataset
from detkit.detection.load import calibration_of_model
from detkit.detection.model_file import read_model_file
from detkit.errors import DataError, ModelError
from detkit.evaluation.coco_files import read_coco
from detkit.evaluation.detection_files import read_detections
from detkit.evaluation.voc import VOC
from detkit.report.compare import Side
from detkit.run.artifacts import read_result
from detkit.run.datasets import Datasets
from detkit.run.folders import is_own_config
from detkit.run.last_run import LastRun, changed_settings, first_change
from detkit.run.run_folder import ENVIRONMENT
from detkit.structures import Detections

OF_THE_FOLDER = ("OUTPUT_DIR", "ARTIFACTS")
"""Keys that say where a run lies, and nothing of what it does."""
OF_THE_MACHINE = ("detkit", "device", "compute")
"""What a comparison tells of env.json."""
DETECTIONS = Path("detections", "detections.json")


@dataclass(frozen=True, eq=False)
class Compared:
    """The inputs of a comparison.

    Args:
        config: selects the AP.
        dataset: the images with their annotations.
        sides: both detectors.
        settings: (key, first, second) of the settings that differ between two runs; empty for files.
    """

    config: Config
    dataset: Dataset
    sides: tuple[Side, Side]
    settings: Sequence[tuple[str, Any, Any]] = ()


def of_runs(first: Path, second: Path) -> Compared:
    """The detections of two runs on one test split.

    Raises:
        ModelError: if one of the folders is not that of a run that has detected.
        DataError: if the runs differ in test images, annotations or classes; it names the first difference.
    """
    folders = (first, second)
    config, other = (_config_of(folder) for folder in folders)
    dataset = Datasets(config)("TEST")
    names = Datasets(other)("TEST").class_names
    if names != dataset.class_names:
        raise DataError(
            f"{second}: its classes ({', '.join(names)}) are not those of {first} ({', '.join(dataset.class_names)}); "
            "compare runs on one test split"
        )
    for folder, what in ((first, "its test data have changed since it ran"), (second, f"not the test data of {first}")):
        if change := first_change(dataset, LastRun.of(folder).content.get("TEST")):
            raise DataError(f"{folder}: {what}: {change}; compare runs on one test split")
    settings = changed_settings(_described(first, config), _described(second, other))
    return Compared(config, dataset, (_side(first, dataset), _side(second, dataset)), list(settings))


def of_files(config: Config, first: Path, second: Path, min_score: float | None = None) -> Compared:
    """Two folders of VOC files or COCO results files, evaluated on the annotations of DATA.TEST alone.

    Args:
        config: holds DATA and EVALUATORS.
        first: folder or file of the first program.
        second: folder or file of the second program.
        min_score: the score from which every class is shown; None takes, for each file and class, the score of best F1
            on these annotations.

    Raises:
        DataError: if annotations or detections cannot be read.
    """
    dataset = Datasets(config, needs_images=False)("TEST")
    found = [read_detections(file, dataset, config.DATA.TEST) for file in (first, second)]
    strict = config.EVALUATION.VOC.STRICT_IOU
    if min_score is None:
        limits, source = [_best_thresholds(dataset, own, strict) for own in found], "best F1 on these annotations"
    else:
        limits, source = [torch.full((len(dataset.class_names),), min_score)] * 2, "--min-score"
    names = (str(first), str(second))
    one, other = (Side(name, own, least, source) for name, own, least in zip(names, found, limits))
    return Compared(config, dataset, (one, other))


def _config_of(folder: Path) -> Config:
    file = folder / "config.yaml"
    if not is_own_config(file):
        raise ModelError(f"{folder}: not the folder of a run; expected one that detkit train wrote, such as runs/quick")
    if not (folder / DETECTIONS).is_file():
        raise ModelError(f"{folder}: nothing was detected yet; run: detkit train --config {file}")
    return load_config(file)


def _described(folder: Path, config: Config) -> dict[str, Any]:
    """The settings of a run, as nested values."""
    environment = read_result(folder / ENVIRONMENT)
    machine = {f"{ENVIRONMENT}: {key}": environment.get(key) for key in OF_THE_MACHINE}
    return {key: value for key, value in config.selected().items() if key not in OF_THE_FOLDER} | machine


def _side(folder: Path, dataset: Dataset) -> Side:
    model = folder / "model"
    calibration = calibration_of_model(model, read_model_file(model))
    source = "the model's default" if calibration.source == "none" else f"learnt from {calibration.source}"
    return Side(str(folder), read_coco(folder / DETECTIONS, dataset), calibration.thresholds, source)


def _best_thresholds(dataset: Dataset, detections: Sequence[Detections], strict_iou: bool) -> torch.Tensor:
    """(K,) from which score on F1 is best at IoU 0.5."""
    voc = VOC(class_names=dataset.class_names, strict_iou=strict_iou)
    for sample, found in zip(dataset, detections, strict=True):
        voc.add(sample, found)
    best = [own.best_f1_threshold() for own in voc.matches(0.5)]
    return torch.from_numpy(np.array(best, np.float32))
