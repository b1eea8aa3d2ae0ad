"""detkit: a small detection framework of registered, interchangeable parts, and R-CNN built from them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from detkit.detection.detector import Detector

__version__ = "0.1.0"


def load(model: str | Path, *, device: str = "auto", compile: bool = False) -> Detector:
    """The detector of a model folder; ``detkit.load(model).detect(image)``. See ``detkit.detection.load.load``.

    Example:
        >>> load("no/folder")
        Traceback (most recent call last):
        detkit.errors.ModelError: ...
    """
    from detkit.detection.load import load as load_detector

    return load_detector(model, device=device, compile=compile)
