"""The outputs of pre-training: the weights as one file, and their accuracy."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from detkit.run.artifacts import read_result
from detkit.run.kinds import ACCURACY_FILE, NETWORK, NETWORK_FILE
from detkit.run.runner import Run
from detkit.system.files import replacing

WEIGHTS = "weights.safetensors"


def export_weights(run: Run) -> Path | None:
    """Writes RUN/weights.safetensors for BACKBONE.WEIGHTS: tensors, with the preprocessing as metadata.

    Returns:
        The file, or None if this run has trained no backbone.
    """
    trained = _trained(run)
    if trained is None:
        return None
    path = run.folder / WEIGHTS
    with replacing(path) as partial:
        shutil.copyfile(trained / NETWORK_FILE, partial)
    return path


def pretraining_results(run: Run) -> dict[str, Any]:
    """``dataset``, ``split``, ``num_images``, ``top1`` and ``top5`` (fractions); empty if nothing was measured."""
    trained = _trained(run)
    measured = read_result(trained / ACCURACY_FILE) if trained else {}
    data = run.config.PRETRAIN_DATA
    return {"dataset": data.NAME, "split": data.VAL, **measured} if measured else {}


def _trained(run: Run) -> Path | None:
    """The result of the first step that gives a network, where it was trained on classified pictures."""
    first = next((step for step in run.steps if step.stage.gives == NETWORK), None)
    found = None if first is None else run.result(first)
    return found if found is not None and (found / ACCURACY_FILE).is_file() else None
