"""Confusion of classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detkit.diagnosis.matching import above, first_free
from detkit.diagnosis.outcome import Outcome
from detkit.structures import OTHER_CLASS

BACKGROUND = "background"


@dataclass(frozen=True, eq=False)
class ConfusionMatrix:
    """Counts of objects by their class and the class of their detection.

    Args:
        names: the K classes and, last, the background.
        counts: (K + 1, K + 1) int64, a row for each true class, a column for each detected class. The last column holds
            objects without a detection, the last row detections without an object.
        iou: smallest IoU of a match.
        thresholds: (K,) the score from which each class is shown.
    """

    names: tuple[str, ...]
    counts: np.ndarray
    iou: float
    thresholds: np.ndarray


def confusion_matrix(
    outcome: Outcome, thresholds: Sequence[float] | np.ndarray | float, iou: float = 0.5
) -> ConfusionMatrix:
    """Matches the shown detections with the objects, each at most once, by falling score.

    1. Each detection takes the free object of its own class with the largest overlap.
    2. Each detection without an object takes the free object of another class with the largest overlap.
    3. A detection that overlaps only an ignored object (difficult, a crowd, of a class that is not selected) is left
       out. Such objects are not counted.
    4. All other detections, such as second ones of an object, are background.

    Args:
        outcome: detections and ground truths.
        thresholds: the lowest score that is shown, of each class (K,), or of all.
        iou: smallest IoU of a match.
    """
    limits = np.broadcast_to(np.asarray(thresholds, np.float64), (outcome.num_classes,)).copy()
    shown = above(outcome, limits)
    pairs = outcome.overlaps
    reaches = shown[pairs.det] & (pairs.iou >= iou)
    counted = ~outcome.ignored[pairs.truth]
    explained = reaches & ~counted & outcome.own_class
    explained |= shown[pairs.det] & outcome.crowd[pairs.truth] & outcome.own_class & (pairs.inside >= iou)
    usable = pairs[reaches & counted]
    same = outcome.truth_labels[usable.truth] == outcome.det_labels[usable.det]
    # All pairs of one class are tried before the first pair of two.
    tried = np.lexsort((usable.truth, -usable.iou, outcome.rank[usable.det], ~same))
    truth = first_free(usable[tried], outcome)

    num_classes = outcome.num_classes
    counts = np.zeros((num_classes + 1, num_classes + 1), np.int64)
    found = np.flatnonzero(truth >= 0)
    np.add.at(counts, (outcome.truth_labels[truth[found]], outcome.det_labels[found]), 1)
    missed = ~outcome.ignored
    missed[truth[found]] = False
    counts[:-1, -1] = np.bincount(outcome.truth_labels[missed], minlength=num_classes)
    alone = shown & (truth < 0)
    alone[pairs.det[explained]] = False
    counts[-1, :-1] = np.bincount(outcome.det_labels[alone], minlength=num_classes)
    assert OTHER_CLASS not in outcome.truth_labels[missed]
    return ConfusionMatrix((*outcome.class_names, BACKGROUND), counts, iou, limits)
