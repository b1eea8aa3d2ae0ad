"""detkit: a small object detection framework of registered, interchangeable parts, and R-CNN built from them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detkit.detection.detector import Detector
    from detkit.report.whole_runs import Overrides, Trained

__version__ = "0.2.0.dev0"


def load(model: str | Path, *, device: str = "auto", compile: bool = False) -> Detector:
    """Load the detector of a model folder, as in ``detkit.load(model).detect(image)``.

    See ``detkit.detection.load.load`` for arguments and errors.

    Example:
        >>> load("no/folder")
        Traceback (most recent call last):
        detkit.errors.ModelError: ...
    """
    from detkit.detection.load import load as load_detector

    return load_detector(model, device=device, compile=compile)


def train(config: str | Path, overrides: Overrides = (), *, first: str = "", last: str = "") -> Trained:
    """Run a recipe, as in ``detkit.train(recipe, {"FINETUNE.LR": 0.01})``.

    See ``detkit.report.whole_runs.train`` for arguments, result and errors.
    """
    from detkit.report.whole_runs import train as train_all

    return train_all(config, overrides, first=first, last=last)


def evaluate(config: str | Path, overrides: Overrides = (), *, detections: str | Path | None = None) -> dict[str, Any]:
    """Compute the metrics of a run, or of detection files.

    See ``detkit.report.whole_runs.evaluate`` for arguments, result and errors.
    """
    from detkit.report.whole_runs import evaluate as evaluate_all

    return evaluate_all(config, overrides, detections=detections)
