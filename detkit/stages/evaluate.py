"""The stage that evaluates detections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from detkit.config.build import construct
from detkit.config.node import Config
from detkit.data.base import Dataset
from detkit.errors import ComponentError, DataError
from detkit.evaluation.base import Evaluator, checked_metrics
from detkit.progress import progress
from detkit.registry import EVALUATORS, STAGES
from detkit.run.kinds import DETECTIONS, DETECTIONS_FILE, METRICS, PROPOSALS, RESULTS_FILE, UNREFINED_FILE
from detkit.run.stage import Context, Need, Reads, Stage
from detkit.stages.detect import load_detections
from detkit.stages.regions import load_proposals
from detkit.structures import Detections, Proposals
from detkit.system.files import write_json


@STAGES.register()
class Evaluate(Stage):
    """Metrics of the detections of the test split, with the box head and without it. Source: R-CNN, section 2.4.

    Example:
        >>> Evaluate.gives, sorted(Evaluate.settings)
        ('metrics', [])
    """

    gives = METRICS

    def roles(self, config: Config) -> tuple[str, ...]:
        """The test split."""
        return ("TEST",)

    def needs(self, config: Config, role: str) -> Mapping[str, Need]:
        """Detections and proposals."""
        return {"detections": Need(DETECTIONS, role), "proposals": Need(PROPOSALS, role)}

    def reads(self, config: Config, role: str) -> Reads:
        """The evaluators with their settings, and the ground truths."""
        return Reads(settings=("EVALUATORS", "EVALUATION"), annotated=(role,))

    def check(self, config: Config) -> None:
        """Builds the evaluators."""
        for name in config.EVALUATORS:
            _build(config, name, ("object",))

    def check_data(self, config: Config, data: Mapping[str, Dataset]) -> None:
        """Refuses data without ground truths, and lets each evaluator evaluate one image."""
        for role, dataset in data.items():
            if all(sample.annotations is None for sample in dataset):
                raise DataError(
                    f"DATA.{role}: the split has no annotations, so it cannot be evaluated; leave Evaluate out of "
                    "STAGES to detect only"
                )
            if all(sample.annotations is None or bool(sample.annotations.ignored.all()) for sample in dataset):
                raise DataError(f"DATA.{role}: none of its {len(dataset)} images has a ground truth to evaluate on")
            _try_evaluators(config, dataset)

    def run(self, context: Context) -> None:
        """Writes results.json."""
        dataset = context.dataset(context.role)
        proposals = load_proposals(context, context.role)
        refined = load_detections(context.inputs["detections"] / DETECTIONS_FILE)
        plain = load_detections(context.inputs["detections"] / UNREFINED_FILE)
        results = {
            "num_images": len(dataset),
            "metrics": evaluate(context.config, dataset, refined, proposals),
            "metrics_before_box_head": evaluate(context.config, dataset, plain),
        }
        write_json(context.folder / RESULTS_FILE, results)


def evaluate(
    config: Config, dataset: Dataset, detections: Sequence[Detections], proposals: Sequence[Proposals] | None = None
) -> dict[str, dict[str, Any]]:
    """The metrics of a split's detections, by the configured evaluators.

    Args:
        config: holds EVALUATORS and EVALUATION.
        dataset: the split.
        detections: one for each image, in list order.
        proposals: likewise, for evaluators of proposals; None skips these evaluators.

    Raises:
        DataError: if an image has no annotations, or there is no ground truth.
        ComponentError: if an evaluator returns no metrics, or a metric that another evaluator returned.
    """
    metrics: dict[str, dict[str, Any]] = {}
    for name in config.EVALUATORS:
        if not EVALUATORS.get(name).judges_proposals:
            _add_metrics(metrics, name, judged(config, name, dataset, detections))
        elif proposals is not None:
            _add_metrics(metrics, name, judged(config, name, dataset, [_as_detections(p) for p in proposals]))
    return metrics


def judged(config: Config, name: str, dataset: Dataset, detections: Sequence[Detections]) -> Evaluator:
    """An evaluator of EVALUATORS, updated with all detections of a split.

    Raises:
        DataError: if an image has no annotations.
    """
    evaluator = _build(config, name, dataset.class_names)
    with progress(f"evaluate {name}", len(dataset), "image") as bar:
        for sample, found in zip(dataset, detections, strict=True):
            if sample.annotations is None:
                raise DataError(f"image {sample.image_id}: the split has no annotations, so it cannot be evaluated")
            evaluator.add(sample, found)
            bar.update()
    return evaluator


def _try_evaluators(config: Config, dataset: Dataset) -> None:
    """Lets each evaluator evaluate one image whose objects are all found, so that it fails before a run."""
    annotated = [(s, s.annotations) for s in dataset if s.annotations is not None and len(s.annotations)]
    sample, truths = next((pair for pair in annotated if not (pair[1].difficult | pair[1].crowd).all()), annotated[0])
    metrics: dict[str, dict[str, Any]] = {}
    for name in config.EVALUATORS:
        evaluator = _build(config, name, dataset.class_names)
        labels = torch.zeros_like(truths.labels) if evaluator.judges_proposals else truths.labels
        evaluator.add(sample, Detections.of(truths.boxes, torch.ones(len(truths)), labels))
        _add_metrics(metrics, name, evaluator)


def _add_metrics(metrics: dict[str, dict[str, Any]], name: str, evaluator: Evaluator) -> None:
    """Adds what an evaluator computes to what those before it have given."""
    found = checked_metrics(evaluator, evaluator.compute())
    if twice := sorted(metrics.keys() & found.keys()):
        raise ComponentError(f"EVALUATORS: {name} gives {', '.join(twice)}, as one before it does; rename its metrics")
    metrics.update(found)


def _build(config: Config, name: str, class_names: Sequence[str]) -> Evaluator:
    evaluator: Evaluator = construct(EVALUATORS, {"NAME": name, name: config.EVALUATION[name]}, class_names=class_names)
    return evaluator


def _as_detections(proposals: Proposals) -> Detections:
    count = len(proposals)
    rows = torch.arange(count)
    return Detections(proposals.boxes, proposals.objectness, torch.zeros(count, dtype=torch.int64), rows)
