"""What a run leaves of its pre-training: the weights as one file, and their accuracy."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from detkit.run.artifacts import read_result
from detkit.run.runner import Run
from detkit.stages.common import NETWORK
from detkit.stages.pretrain import ACCURACY
from detkit.system.files import replacing

WEIGHTS = "weights.safetensors"


def export_weights(run: Run) -> Path | None:
    """Writes RUN/weights.safetensors, which BACKBONE.WEIGHTS takes: tensors, with the preprocessing as metadata.

    Returns:
        The file, or None where this run has trained no backbone.
    """
    trained = _trained(run)
    if trained is None:
        return None
    path = run.folder / WEIGHTS
    with replacing(path) as partial:
        shutil.copyfile(trained / NETWORK, partial)
    return path


def pretraining_results(run: Run) -> dict[str, Any]:
    """``dataset``, ``split``, ``num_images``, ``top1`` and ``top5`` (fractions); empty where nothing was measured."""
    trained = _trained(run)
    measured = read_result(trained / ACCURACY) if trained else {}
    data = run.config.PRETRAIN_DATA
    return {"dataset": data.NAME, "split": data.VAL, **measured} if measured else {}


def _trained(run: Run) -> Path | None:
    """The artefact of a backbone that was trained, not given."""
    return None if run.config.BACKBONE.WEIGHTS else run.find("Pretrain")
