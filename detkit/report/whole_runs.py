"""Training and evaluation in one call each."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detkit.config import load_config
from detkit.config.yaml_file import value_text
from detkit.errors import ConfigError, ModelError
from detkit.evaluation.detection_files import read_detections
from detkit.run.datasets import Datasets
from detkit.run.folders import refuse_folders, run_of
from detkit.run.kinds import DETECTIONS, METRICS, RESULTS_FILE
from detkit.run.runner import Run
from detkit.stages.evaluate import evaluate as metrics_of
from detkit.system.files import writing

if TYPE_CHECKING:
    from detkit.detection.detector import Detector

Overrides = Mapping[str, object] | Sequence[str]
"""Config keys with their values, {"FINETUNE.LR": 0.01}, or words as on the command line, ["FINETUNE.LR=0.01"]."""


@dataclass(frozen=True)
class Trained:
    """A finished run.

    Args:
        folder: the run's folder, with report.html, pictures.png, detections/ and model/.
        results: the content of results.json; empty if nothing was measured.
        lines: the lines that ``detkit train`` prints: warnings, the AP table, paths of outputs.
    """

    folder: Path
    results: Mapping[str, Any]
    lines: tuple[str, ...]

    def load(self, *, device: str = "auto") -> Detector:
        """The trained detector.

        Raises:
            ModelError: if the recipe trains none.
        """
        from detkit.detection.load import load

        return load(self.folder / "model", device=device)


def train(config: str | Path, overrides: Overrides = (), *, first: str = "", last: str = "") -> Trained:
    """Runs all unfinished stages of a recipe in this process.

    Args:
        config: the recipe's file.
        overrides: config keys that override the recipe's: a mapping, or words as on the command line.
        first: results of this stage and later ones are made again; empty makes none again.
        last: the stage after which to stop; empty runs to the end.

    Raises:
        DetkitError: for every mistake that ``detkit train`` would print.
    """
    from detkit.report.outputs import write_outputs  # it draws and exports, which evaluation of files does not need

    file = Path(config)
    job = run_of(file, words_of(overrides))
    job.check_stages(first, last)
    refuse_folders(job, file)
    with writing(), job.alone():
        job.execute(first=first, last=last)
        lines = write_outputs(job)
    return Trained(job.folder, _results(job), tuple(lines))


def evaluate(config: str | Path, overrides: Overrides = (), *, detections: str | Path | None = None) -> dict[str, Any]:
    """Evaluates a finished run again, or detection files of any program.

    Args:
        config: the recipe's file. With ``detections``, only its data and evaluators are used.
        overrides: config keys that override the recipe's: a mapping, or words as on the command line.
        detections: VOC result files in a folder, or a COCO results JSON, for ``DATA.TEST``. They need neither images
            nor weights.

    Returns:
        The content of results.json: ``metrics`` by evaluator, and the data that they were measured on.

    Raises:
        ConfigError: if no stage or evaluator evaluates detections.
        ModelError: if the run has not detected anything yet.
        DataError: if a detection file does not fit the data.
    """
    words = words_of(overrides)
    if detections is not None:
        return evaluate_files(config, words, Path(detections))
    return evaluate_run(Path(config), words)


def words_of(overrides: Overrides) -> list[str]:
    """Overrides as the words of a command line."""
    if isinstance(overrides, Mapping):
        return [f"{key}={value_text(_plain(value))}" for key, value in overrides.items()]
    return list(overrides)


def evaluate_files(config: str | Path, words: Sequence[str], detections: Path) -> dict[str, Any]:
    """``evaluate`` for detection files; ``words`` are overrides as on the command line."""
    chosen = load_config(config, words)
    dataset = Datasets(chosen, needs_images=False)("TEST")
    metrics = metrics_of(chosen, dataset, read_detections(detections, dataset, chosen.DATA.TEST))
    if not metrics:
        raise ConfigError(f"EVALUATORS: {chosen.EVALUATORS} judge proposals, not detections; add VOC or COCO")
    where = {"dataset": chosen.DATA.NAME, "split": chosen.DATA.TEST, "num_images": len(dataset)}
    return {**where, "skipped": list(dataset.skipped), "metrics": metrics}


def evaluate_run(file: Path, words: Sequence[str], begins: Callable[[Run], None] = lambda job: None) -> dict[str, Any]:
    """``evaluate`` for a run; ``begins`` is called as soon as it is known that the run can be evaluated."""
    from detkit.report.outputs import write_outputs

    job = run_of(file, words)
    metrics = job.last(METRICS, "TEST")
    if metrics is None:
        raise ConfigError("STAGES: no stage evaluates; add Evaluate")
    if job.find(DETECTIONS, "TEST") is None:
        command = shlex.join(["detkit", "train", "--config", str(file), *words])
        raise ModelError(f"{file}: nothing was detected yet; run: {command}")
    refuse_folders(job, file)
    begins(job)
    with writing(), job.alone():
        job.execute(first=metrics.id, last=metrics.id)
        write_outputs(job)
    return _results(job)


def _plain(value: object) -> object:
    """A path as text and a tuple as a list, also inside of lists."""
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value


def _results(job: Run) -> dict[str, Any]:
    file = job.folder / RESULTS_FILE
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return found
