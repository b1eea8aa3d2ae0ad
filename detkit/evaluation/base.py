"""What every evaluator gives."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Any

from detkit.errors import ComponentError
from detkit.evaluation.bootstrap import Curves
from detkit.structures import Detections, Sample


class Evaluator(ABC):
    """Judges the detections of a split.

    A registered evaluator's constructor takes ``class_names`` from the builder.

    Attributes:
        judges_proposals: True where ``add`` expects all proposals of an image (scores are objectness, labels 0).
    """

    judges_proposals: bool = False

    @abstractmethod
    def reset(self) -> None:
        """Forgets every image."""

    @abstractmethod
    def add(self, sample: Sample, detections: Detections) -> None:
        """Takes one image: its ground truths and what was detected. An image without detections is added, too.

        Raises:
            ValueError: the sample has no annotations (None).
        """

    @abstractmethod
    def compute(self) -> dict[str, dict[str, Any]]:
        """Metrics by name, for example {"VOC07": {"mAP": 0.58, "AP": {"cat": 0.7, "dog": None}}}; fractions.

        Values are finite numbers, texts, None, and lists and dicts of these. ``AP`` by class gets a column in the
        table; its last line shows ``mAP``, or where that is not given the mean of the classes that have a number.

        Raises:
            DataError: there was no ground truth at all.
        """

    def curves(self) -> dict[str, Curves]:
        """By metric what its AP by class is computed from, so that two runs can be compared; none where it has none."""
        return {}


def checked_metrics(evaluator: Evaluator, metrics: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What an evaluator has computed; the core looks at every answer.

    Raises:
        ComponentError: it is no dict of dicts by name, holds what JSON cannot, or an ``AP`` by class holds no numbers.
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
