"""The losses that the training steps of a run have written."""

from __future__ import annotations

from pathlib import Path

from detkit.run.plan import Step
from detkit.run.runner import Run
from detkit.training.solver import STEPS_FILE


def loss_files(run: Run) -> dict[Step, Path]:
    """For each finished step that trained by gradients the file with its losses and accuracies."""
    found = {step: result / STEPS_FILE for step in run.steps if (result := run.result(step)) is not None}
    return {step: file for step, file in found.items() if file.is_file()}
