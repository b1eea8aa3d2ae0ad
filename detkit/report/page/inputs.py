"""The inputs of a report: a run, or detection files and annotations alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from detkit.config.node import Config
from detkit.data.base import Dataset
from detkit.detection.calibration import Calibration
from detkit.diagnosis import Trace
from detkit.evaluation.detection_files import read_detections
from detkit.report.diagnosis import load_trace
from detkit.report.export import calibration_of
from detkit.report.losses import loss_files
from detkit.report.page.judged import Judged
from detkit.run.artifacts import read_result
from detkit.run.datasets import Datasets
from detkit.run.kinds import (
    CLASSIFIER,
    DETECTIONS,
    DETECTIONS_FILE,
    METRICS,
    PROPOSALS,
    REPORT_FILE,
    RESULTS_FILE,
    UNREFINED_FILE,
)
from detkit.run.run_folder import COSTS
from detkit.run.runner import Run
from detkit.stages.detect import load_detections
from detkit.stages.evaluate import evaluate
from detkit.stages.regions import read_proposals
from detkit.structures import Detections, Proposals

FOREIGN = "detection files hold nothing of it"


@dataclass(frozen=True, kw_only=True, eq=False)
class Inputs:
    """Everything that is known of a run; missing parts are empty or None.

    Args:
        name: name of the recipe, or of the detection files.
        config: all keys.
        is_run: whether this is a run of detkit.
        dataset: the test images; None if nothing was detected in them.
        detections: detections of each test image.
        unrefined: detections without the box head.
        proposals: proposals of each test image.
        metrics: results of the evaluators, by metric.
        calibration: the model's thresholds and, if they were learnt, probabilities; None if no model is known.
        trace: the trace of the detecting step.
        training: metrics lines of each stage that trains.
        mining: the report of the classifier.
        train: the images that the classifier has learnt from.
        steps: records of each step that the run made, by label.
        labels: labels of all steps, in order.
        notices: oddities of data and settings, a line each.
    """

    name: str
    config: Config
    is_run: bool = True
    dataset: Dataset | None = None
    detections: Sequence[Detections] = ()
    unrefined: Sequence[Detections] = ()
    proposals: Sequence[Proposals] = ()
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    calibration: Calibration | None = None
    trace: Trace | None = None
    training: Mapping[str, Sequence[Mapping[str, float]]] = field(default_factory=dict)
    mining: Mapping[str, Any] = field(default_factory=dict)
    train: Dataset | None = None
    steps: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    labels: Sequence[str] = ()
    notices: Sequence[str] = ()

    @cached_property
    def judged(self) -> Judged | None:
        """The detections with verdicts; None if there are no detections or no ground truths."""
        return self._judged(self.detections)

    @cached_property
    def judged_unrefined(self) -> Judged | None:
        """The same without the box head."""
        return self._judged(self.unrefined)

    def _judged(self, detections: Sequence[Detections]) -> Judged | None:
        if self.dataset is None or not detections or not any(s.annotations is not None for s in self.dataset):
            return None
        judged = Judged.of(self.config, self.dataset, detections, self.calibration)
        return judged if judged.num_truths else None

    @property
    def no_judgement(self) -> str:
        """The reason why ``judged`` is None."""
        if self.dataset is None:
            return "nothing was detected in test images yet"
        return "the test images have no ground truth to compare with"

    @property
    def no_proposals(self) -> str:
        """The reason why proposals cannot be compared with objects."""
        if self.judged is not None and not self.proposals:
            return "the proposals of this run were removed; --from propose makes them again"
        return self.no_judgement

    @classmethod
    def of_run(cls, run: Run, told: Sequence[str]) -> Inputs:
        """The inputs from the finished steps of a run, and its notices."""
        detected, proposed = run.find(DETECTIONS, "TEST"), run.find(PROPOSALS, "TEST")
        classified, evaluated = run.find(CLASSIFIER, "TRAIN"), run.find(METRICS, "TEST")
        dataset = run.datasets("TEST") if detected else None
        return cls(
            name=run.folder.name,
            config=run.config,
            dataset=dataset,
            detections=load_detections(detected / DETECTIONS_FILE) if detected else (),
            unrefined=load_detections(detected / UNREFINED_FILE) if detected else (),
            proposals=read_proposals(proposed, dataset) if dataset is not None and proposed is not None else [],
            metrics=read_result(evaluated / RESULTS_FILE).get("metrics", {}) if evaluated else {},
            calibration=calibration_of(run) if detected else None,
            trace=load_trace(run, detected) if detected else None,
            training={step.id.lower(): _lines(file) for step, file in loss_files(run).items()},
            mining=read_result(classified / REPORT_FILE) if classified else {},
            train=run.datasets("TRAIN") if classified else None,
            steps=_steps(run),
            labels=[step.label for step in run.steps],
            notices=told,
        )

    @classmethod
    def of_files(cls, config: Config, path: Path) -> Inputs:
        """The inputs from detection files of any program and the annotations of DATA.TEST.

        Raises:
            DataError: if the files or the annotations cannot be used.
        """
        dataset = Datasets(config, needs_images=False)("TEST")
        detections = read_detections(path, dataset, config.DATA.TEST)
        metrics = evaluate(config, dataset, detections)
        return cls(
            name=path.resolve().name,
            config=config,
            is_run=False,
            dataset=dataset,
            detections=detections,
            metrics=metrics,
        )


def _lines(file: Path) -> list[dict[str, Any]]:
    """The lines of a .jsonl file, but for one that an interruption has torn."""
    found = []
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def _steps(run: Run) -> dict[str, dict[str, Any]]:
    """The run's records of the last time that it made each step."""
    file = run.folder / COSTS
    digests = {step.label: step.digest[:12] for step in run.steps}
    lines = _lines(file) if file.is_file() else []
    return {line["step"]: line for line in lines if digests.get(str(line.get("step"))) == line.get("digest")}
