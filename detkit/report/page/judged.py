"""The detections of a split, each marked right or wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Literal

import numpy as np
import torch

from detkit.config.node import Config
from detkit.data.base import Dataset
from detkit.detection.calibration import Calibration
from detkit.diagnosis import Outcome, Verdicts, best_thresholds, matches_of, threshold_curves, voc_verdicts
from detkit.diagnosis.matching import above
from detkit.evaluation.bootstrap import Interval, Measure, ap_intervals
from detkit.evaluation.curves import Matches, grid_ap
from detkit.evaluation.voc import GRIDS
from detkit.structures import Detections

Source = Literal["learnt", "default", "best F1"]
WORDS: Mapping[Source, str] = {
    "learnt": "that the model has learnt",
    "default": "that the model has by default",
    "best F1": "of the best F1 on these images",
}
"""What stands behind "the threshold"."""


@dataclass(frozen=True, eq=False)
class Judged:
    """Detections with verdicts by VOC's rules at an IoU of 0.5.

    Args:
        outcome: the D detections and the ground truths, as columns.
        verdicts: verdict on each detection.
        matches: detections of each class that count.
        thresholds: (K,) the score from which each class is shown.
        source: origin of the thresholds: "learnt" by the model on other images, its "default", or of the "best F1" on
            these images if no model is known.
        measure: computes AP as in VOC2007.
        calibration: gives the probability that a detection is right; None if it is not known.
        strict: whether the overlap must exceed 0.5, as EVALUATION.VOC.STRICT_IOU says.
    """

    outcome: Outcome
    verdicts: Verdicts
    matches: Sequence[Matches]
    thresholds: np.ndarray
    source: Source
    measure: Measure
    calibration: Calibration | None
    strict: bool

    @classmethod
    def of(
        cls, config: Config, dataset: Dataset, detections: Sequence[Detections], calibration: Calibration | None
    ) -> Judged:
        """The detections of each image of a data set; an image without annotations has no object."""
        outcome = Outcome.of(dataset.class_names, dataset, detections)
        strict = config.EVALUATION.VOC.STRICT_IOU
        verdicts = voc_verdicts(outcome, strict=strict)
        source: Source
        if calibration is None:
            source, thresholds = "best F1", best_thresholds(threshold_curves(outcome, strict=strict))
        else:
            source = "default" if calibration.source == "none" else "learnt"
            thresholds = calibration.thresholds.double().numpy()
        measure = partial(grid_ap, grid=GRIDS[config.EVALUATION.VOC.GRID])
        found = matches_of(outcome, verdicts)
        return cls(outcome, verdicts, found, thresholds, source, measure, calibration, strict)

    @property
    def class_names(self) -> Sequence[str]:
        """The K classes."""
        return self.outcome.class_names

    @property
    def threshold_words(self) -> str:
        """The words after "the threshold" that say where it comes from."""
        return WORDS[self.source]

    @property
    def num_truths(self) -> int:
        """The number of objects to be found."""
        return int(self.outcome.num_truths.sum())

    @cached_property
    def intervals(self) -> tuple[list[Interval | None], Interval]:
        """AP of each class and mean AP, with bootstrap intervals over the test images."""
        return ap_intervals(self.matches, self.measure)

    @cached_property
    def aps(self) -> list[float | None]:
        """AP of each class; None for a class without an object."""
        return [float(self.measure(*own.curve())) if own.num_truths else None for own in self.matches]

    @cached_property
    def shown(self) -> np.ndarray:
        """(D,) bool, which detections reach the threshold of their class."""
        return above(self.outcome, self.thresholds)

    @cached_property
    def probabilities(self) -> np.ndarray | None:
        """(D,) probability that each detection is right; None if it is not known."""
        if self.calibration is None:
            return None
        scores, labels = self.outcome.det_scores.astype(np.float32), self.outcome.det_labels
        found = self.calibration.probability(torch.from_numpy(scores), torch.from_numpy(labels))
        return None if found is None else found.double().numpy()

    def score_text(self, row: int) -> str:
        """The probability of a detection if it is known, else its score, as text."""
        if self.probabilities is not None:
            return f"p {self.probabilities[row]:.2f}"
        return f"score {self.outcome.det_scores[row]:.2f}"

    def at_threshold(self, label: int) -> tuple[float, float]:
        """Recall and precision of the shown detections of a class."""
        own = self.matches[label]
        shown = own.scores >= self.thresholds[label]
        right = float(own.hits[shown].sum())
        return right / max(own.num_truths, 1), right / max(int(shown.sum()), 1)

    def f1(self) -> float:
        """F1 of the shown detections over all classes."""
        right, wrong = (int((self.shown & rows).sum()) for rows in (self.verdicts.right, self.verdicts.wrong))
        return 2 * right / max(right + wrong + self.num_truths, 1)

    def best_by_class(self, some: np.ndarray, most: int) -> list[int]:
        """Rows of selected detections: the best of each class in turn, so that no class takes all places.

        Args:
            some: (D,) bool, the selected detections.
            most: maximal number of rows.
        """
        rows = self.outcome.order[some[self.outcome.order]]
        return rows[in_turn(self.outcome.det_labels[rows])[:most]].tolist()


def in_turn(labels: np.ndarray) -> np.ndarray:
    """(N,) an order of N labels in which the first of each comes first, then the second of each, and so on."""
    turn = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        at = np.flatnonzero(labels == label)
        turn[at] = np.arange(len(at))
    return np.argsort(turn, kind="stable")
