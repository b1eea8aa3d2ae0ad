"""Precision over recall, AP over IoU, and precision, recall and F1 over the threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detkit.diagnosis.matching import coco_verdicts, matches_of, voc_verdicts
from detkit.diagnosis.outcome import Outcome
from detkit.evaluation.curves import Matches, area_ap, grid_ap, nan_mean

IOUS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""COCO's ten overlaps."""
COCO_GRID = np.linspace(0, 1, 101)
VOC_GRID = np.arange(0, 1.1, 0.1)


@dataclass(frozen=True, eq=False)
class PRCurve:
    """Precision over recall of one class at one IoU, by VOC's matching.

    Args:
        class_name: name of the class.
        iou: smallest IoU of a right detection.
        num_truths: number of objects that count.
        scores: (N,) float64 scores of the detections that count, best first.
        recall: (N,) recall after each of them; 0 if the class has no object.
        precision: (N,) precision after each of them.
        ap: area under the envelope, VOC10; None without an object.
        ap_11_points: VOC07; None without an object.
    """

    class_name: str
    iou: float
    num_truths: int
    scores: np.ndarray
    recall: np.ndarray
    precision: np.ndarray
    ap: float | None
    ap_11_points: float | None


@dataclass(frozen=True, eq=False)
class ThresholdCurve:
    """Precision, recall and F1 of one class over the threshold, by VOC's matching at IoU 0.5.

    Args:
        class_name: name of the class.
        num_truths: number of objects that count.
        thresholds: (N,) float64 all different scores, falling; detections with this score or more are shown.
        precision: (N,) precision of the shown detections at each threshold.
        recall: (N,) recall at each threshold.
        f1: (N,) F1 at each threshold.
        best_threshold: threshold of the largest F1 on these images; None if no detection is right.
        best_f1: F1 at ``best_threshold``.
        own_threshold: the model's own threshold; None if it has none.
        own_precision: precision at the model's own threshold; None if nothing is shown.
        own_recall: recall at the model's own threshold.
        own_f1: F1 at the model's own threshold.
    """

    class_name: str
    num_truths: int
    thresholds: np.ndarray
    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    best_threshold: float | None
    best_f1: float | None
    own_threshold: float | None
    own_precision: float | None
    own_recall: float | None
    own_f1: float | None


@dataclass(frozen=True, eq=False)
class APByIoU:
    """AP of every class at several IoU thresholds; nan for a class without objects.

    Args:
        class_names: the K classes.
        ious: (V,) float64.
        voc: (K, V) the area under VOC's curve (VOC10).
        coco: (K, V) the mean over 101 recalls by COCO's matching: all areas, 100 detections of a class and image.
    """

    class_names: tuple[str, ...]
    ious: np.ndarray
    voc: np.ndarray
    coco: np.ndarray

    @property
    def voc_mean(self) -> np.ndarray:
        """(V,) mean of ``voc`` over the classes that have objects."""
        return nan_mean(self.voc)

    @property
    def coco_mean(self) -> np.ndarray:
        """(V,) mean of ``coco`` over the classes that have objects."""
        return nan_mean(self.coco)


def pr_curves(outcome: Outcome, iou: float = 0.5, *, strict: bool = False) -> tuple[PRCurve, ...]:
    """The curve of each class; ``strict`` is as in ``voc_verdicts``."""
    found = []
    for name, own in zip(outcome.class_names, matches_of(outcome, voc_verdicts(outcome, iou, strict=strict))):
        recall, precision = _curve(own)
        known = own.num_truths > 0
        area, points = (
            (float(area_ap(recall, precision)), float(grid_ap(recall, precision, VOC_GRID))) if known else (None, None)
        )
        found.append(PRCurve(name, iou, own.num_truths, own.scores, recall, precision, area, points))
    return tuple(found)


def threshold_curves(
    outcome: Outcome, own_thresholds: Sequence[float] | np.ndarray | None = None, *, strict: bool = False
) -> tuple[ThresholdCurve, ...]:
    """Precision, recall and F1 of each class.

    Args:
        outcome: detections and ground truths.
        own_thresholds: (K,) the scores from which the model shows a detection; None if it has no thresholds.
        strict: whether the overlap must exceed 0.5.
    """
    found = []
    for label, own in enumerate(matches_of(outcome, voc_verdicts(outcome, strict=strict))):
        last = np.flatnonzero(np.diff(own.scores, append=-np.inf))  # of equal scores all are shown
        true = np.cumsum(own.hits)[last]
        precision, recall = true / (last + 1), true / max(own.num_truths, 1)
        f1 = 2 * true / (last + 1 + own.num_truths)
        best = int(f1.argmax()) if own.hits.any() else None
        limit = None if own_thresholds is None else float(own_thresholds[label])
        found.append(
            ThresholdCurve(
                outcome.class_names[label],
                own.num_truths,
                own.scores[last],
                precision,
                recall,
                f1,
                None if best is None else float(own.scores[last][best]),
                None if best is None else float(f1[best]),
                limit,
                *_at(own, limit),
            )
        )
    return tuple(found)


def best_thresholds(curves: Sequence[ThresholdCurve]) -> np.ndarray:
    """(K,) the threshold of best F1 of each class; infinite for a class that has none."""
    return np.array([np.inf if c.best_threshold is None else c.best_threshold for c in curves])


def ap_by_iou(outcome: Outcome, ious: Sequence[float] = IOUS, *, strict: bool = False) -> APByIoU:
    """AP at each IoU threshold, by VOC's and by COCO's rules; ``strict`` is for VOC's, as in ``voc_verdicts``."""
    voc = [aps(outcome, matches_of(outcome, voc_verdicts(outcome, iou, strict=strict))) for iou in ious]
    coco = [aps(outcome, matches_of(outcome, coco_verdicts(outcome, iou)), COCO_GRID) for iou in ious]
    return APByIoU(outcome.class_names, np.array(ious), np.stack(voc, 1), np.stack(coco, 1))


def aps(outcome: Outcome, matches: Sequence[Matches], grid: np.ndarray | None = None) -> np.ndarray:
    """(K,) AP of each class; nan for a class without objects.

    Args:
        outcome: detections and ground truths that were matched.
        matches: matches of each class.
        grid: levels of recall over which precision is averaged; None takes the area.
    """
    found = np.full(outcome.num_classes, np.nan)
    for label, own in enumerate(matches):
        if own.num_truths:
            found[label] = area_ap(*own.curve()) if grid is None else grid_ap(*own.curve(), grid)
    return found


def _curve(own: Matches) -> tuple[np.ndarray, np.ndarray]:
    if own.num_truths:
        return own.curve()
    return np.zeros(len(own.hits)), np.zeros(len(own.hits))


def _at(own: Matches, limit: float | None) -> tuple[float | None, float | None, float | None]:
    """Precision, recall and F1 of what scores at least as much."""
    if limit is None:
        return None, None, None
    shown = own.scores >= limit
    right, count = int(own.hits[shown].sum()), int(shown.sum())
    return right / count if count else None, right / own.num_truths if own.num_truths else None, own.f1(limit)
