"""What every evaluator gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

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

        Raises:
            DataError: there was no ground truth at all.
        """
