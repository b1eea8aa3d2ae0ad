"""The base class of evaluators."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Any

from detkit.errors import ComponentError
from detkit.evaluation.bootstrap import Curves
from detkit.structures import Detections, Sample


class Evaluator(ABC):
    """Computes metrics of the detections of a split.

    A registered evaluator's constructor takes ``class_names`` from the builder.

    Attributes:
        judges_proposals: True if ``add`` expects all proposals of an image (scores are objectness, labels are 0).
    """

    judges_proposals: bool = False

    @abstractmethod
    def reset(self) -> None:
        """Forgets every image."""

    @abstractmethod
    def add(self, sample: Sample, detections: Detections) -> None:
        """Adds one image, with its ground truths and its detections. Add images without detections, too.

        Raises:
            ValueError: if the sample has no annotations (None).
        """

    @abstractmethod
    def compute(self) -> dict[str, dict[str, Any]]:
        """Metrics by name, for example {"VOC07": {"mAP": 0.58, "AP": {"cat": 0.7, "dog": None}}}; fractions.

        Values are finite numbers, texts, None, and lists and dicts of these. ``AP`` by class gets a column in the
        table. The last line of the table shows ``mAP``, or, without it, the mean of the classes that have a number.

        Raises:
            DataError: if there was no ground truth.
        """

    def curves(self) -> dict[str, Curves]:
        """The data of each metric's AP by class, to compare two runs; empty if the evaluator has no such metric."""
        return {}


def checked_metrics(evaluator: Evaluator, metrics: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The metrics of an evaluator, after a check. Every result of ``compute`` passes through it.

    Raises:
        ComponentError: if the result is no dict of dicts by name, holds values that JSON cannot, or has an ``AP`` by
            class that holds no numbers.
    """
    name = type(evaluator).__name__
    where = f"{name}.compute"
    if not isinstance(metrics, dict) or not all(isinstance(own, dict) for own in metrics.values()):
        raise ComponentError(f"{where}: expected a dict by metric, {{'{name}': {{'AP50': 0.7}}}}, got {metrics!r:.80}")
    try:
        json.dumps(metrics, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ComponentError(f"{where}: expected finite numbers, texts, None, lists and dicts, got: {error}") from error
    for metric, own in metrics.items():
        by_class = own.get("AP")
        if isinstance(by_class, dict):
            for label, value in {**by_class, "mAP": own.get("mAP")}.items():
                if not isinstance(label, str) or not isinstance(value, (int, float, type(None))):
                    raise ComponentError(
                        f"{where}: expected {metric}.AP as numbers or None by class, and mAP likewise, "
                        f"got {value!r:.80} for {label!r}"
                    )
    return metrics
