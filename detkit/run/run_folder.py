"""The folder of a run: what it holds, its records, and its lock."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from detkit.config.node import Config
from detkit.run.environment import environment
from detkit.run.last_run import DATA, PLAN, described, keep_plan, last_plan
from detkit.run.plan import Step
from detkit.system.compute import Compute
from detkit.system.files import locked, remove_folder, write_atomically, write_json, writing
from detkit.system.memory import peak_memory

log = logging.getLogger("detkit")

TRAINING = "training"
"""Folder with the losses and accuracies of the stages that train."""
TENSORBOARD = "tensorboard"
"""Folder with the same for TensorBoard, where RUNTIME.TENSORBOARD asks for it."""
REPORT = "report.html"
"""The page of the run."""
OUTPUTS = (
    REPORT,
    "results.json",
    "diagnosis.json",
    "pictures.png",
    "detections",
    "model",
    "model.onnx",
    "weights.safetensors",
    TRAINING,
    TENSORBOARD,
)
"""What the folder gets when all steps are done."""
CONFIG, ENVIRONMENT, COSTS = "config.yaml", "env.json", "metrics.jsonl"
RECORDS = (CONFIG, ENVIRONMENT, COSTS, PLAN, DATA)
"""What the folder gets when a run begins, and while it runs."""


def output_folder(config: Config, name: str) -> Path:
    """The folder of a run: OUTPUT_DIR, or runs/NAME if it is not set."""
    return Path(config.OUTPUT_DIR) if config.OUTPUT_DIR else Path("runs") / name


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Locks a run's folder, which is created, against other runs; it waits for a run that has it."""
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock", lambda: log.info("waits for another run that writes to %s", folder)):
        yield


def begin_records(folder: Path, config: Config, steps: Sequence[Step], compute: Compute, *, is_finished: bool) -> None:
    """Writes the records of a run that begins, and removes outputs that will be written anew.

    Args:
        folder: the run's folder; it is created.
        config: the run's config.
        steps: all its steps.
        compute: the resolved device and dtype.
        is_finished: whether all results are there; then outputs of the same plan are kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not is_finished or last_plan(folder) != described(steps):
        for name in OUTPUTS:
            path = folder / name
            if path.is_dir():
                remove_folder(path)
            path.unlink(missing_ok=True)
    keep_plan(folder, steps)
    write_atomically(folder / CONFIG, config.text().encode())
    write_json(folder / ENVIRONMENT, environment(compute))


def note_cost(folder: Path, step: Step, seconds: float, settings: int) -> None:
    """Appends the time and memory of a step to a run's record; ``settings`` were made with it, itself included."""
    cost = {"seconds": round(seconds, 2), "peak_memory": peak_memory(), "settings": settings}
    path = folder / COSTS
    with writing(path), path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"step": step.label, "digest": step.digest[:12], **cost}) + "\n")
