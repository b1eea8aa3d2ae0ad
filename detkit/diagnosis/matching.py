"""Matching of detections and ground truths by the rules of VOC and of COCO."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detkit.diagnosis.outcome import Outcome, Overlaps
from detkit.evaluation.curves import Matches


@dataclass(frozen=True, eq=False)
class Verdicts:
    """The verdict of an evaluation on each of D detections.

    Args:
        truth: (D,) int64 the ground truth that it was compared with or has taken, -1 for none.
        right: (D,) bool.
        ignored: (D,) bool: neither right nor wrong.
    """

    truth: np.ndarray
    right: np.ndarray
    ignored: np.ndarray

    @property
    def wrong(self) -> np.ndarray:
        """(D,) bool."""
        neither: np.ndarray = ~(self.right | self.ignored)
        return neither


def voc_verdicts(outcome: Outcome, iou: float = 0.5, *, strict: bool = False) -> Verdicts:
    """VOC's rule: each detection is compared with the one ground truth of its class that it overlaps most.

    It equals ``detkit.evaluation.voc.VOC``, row by row. Source: VOCevaldet.m.

    Args:
        outcome: detections and ground truths.
        iou: smallest IoU of a right detection.
        strict: whether the overlap must exceed ``iou``, as EVALUATION.VOC.STRICT_IOU says.
    """
    own = outcome.overlaps[outcome.own_class]
    pairs = own[np.lexsort((own.truth, -own.iou, own.det))]
    _, first = np.unique(pairs.det, return_index=True)
    reaches = pairs.iou[first] > iou if strict else pairs.iou[first] >= iou
    best = pairs[first[reaches]]
    truth = np.full(len(outcome.det_scores), -1, np.int64)
    truth[best.det] = best.truth
    ignored = np.zeros(len(truth), bool)
    ignored[best.det] = outcome.ignored[best.truth]
    candidates = outcome.order[(truth >= 0)[outcome.order] & ~ignored[outcome.order]]
    right = np.zeros(len(truth), bool)
    right[candidates[np.unique(truth[candidates], return_index=True)[1]]] = True
    return Verdicts(truth, right, ignored)


def coco_verdicts(
    outcome: Outcome,
    iou: float = 0.5,
    max_dets: int = 100,
    *,
    crowds: bool = True,
    areas: tuple[float, float] | None = None,
) -> Verdicts:
    """COCO's rule: each detection takes the best ground truth of its class that is still free.

    A ground truth that must be found comes before one that is ignored. A crowd takes any number of detections inside
    it. A detection beyond ``max_dets`` of its image and class is ignored. Source: pycocotools, ``evaluateImg``.

    Args:
        outcome: detections and ground truths.
        iou: smallest IoU of a match.
        max_dets: number of best detections of an image and class that count; 0 for all.
        crowds: False treats a crowd as a difficult object.
        areas: range of areas; a detection outside it that finds nothing is ignored.
    """
    pairs = outcome.overlaps[outcome.own_class]
    overlap = np.where(outcome.crowd[pairs.truth], pairs.inside, pairs.iou) if crowds else pairs.iou
    dropped = _beyond(outcome, max_dets)
    kept = (overlap >= min(iou, 1 - 1e-10)) & ~dropped[pairs.det]
    pairs, overlap = pairs[kept], overlap[kept]
    tried = np.lexsort((-pairs.truth, -overlap, outcome.ignored[pairs.truth], outcome.rank[pairs.det]))
    truth = first_free(pairs[tried], outcome, crowds=crowds)
    found = truth >= 0
    is_ignored = dropped.copy()
    if areas is not None:
        area = np.clip(outcome.det_boxes[:, 2:] - outcome.det_boxes[:, :2], 0, None).prod(1)
        is_ignored |= (area < areas[0]) | (area > areas[1])
    is_ignored[found] = outcome.ignored[truth[found]]
    return Verdicts(truth, found & ~is_ignored, is_ignored)


def first_free(pairs: Overlaps, outcome: Outcome, *, crowds: bool = True) -> np.ndarray:
    """(D,) the ground truth that each detection takes, if pairs are tried in order and no ground truth is taken twice.

    Any number of detections may take a crowd, unless ``crowds`` is False. An object of a class that is not selected may
    be taken once by each class.
    """
    slot = pairs.truth * (outcome.num_classes + 1)
    others = outcome.truth_labels[pairs.truth] < 0
    slot[others] += outcome.det_labels[pairs.det[others]] + 1
    truth = np.full(len(outcome.det_scores), -1, np.int64)
    taken, placed = set(), set()
    many = outcome.crowd[pairs.truth] & crowds
    for row, (det, place, again) in enumerate(zip(pairs.det.tolist(), slot.tolist(), many.tolist())):
        if det not in placed and (again or place not in taken):
            truth[det] = pairs.truth[row]
            placed.add(det)
            taken.add(place)
    return truth


def matches_of(outcome: Outcome, verdicts: Verdicts) -> list[Matches]:
    """The detections that count of each class, in the form for the evaluators and the bootstrap."""
    order = outcome.order[~verdicts.ignored[outcome.order]]
    labels = outcome.det_labels[order]
    counted = np.flatnonzero(~outcome.ignored)
    found = []
    for label in range(outcome.num_classes):
        rows = order[labels == label]
        own = counted[outcome.truth_labels[counted] == label]
        truths = np.bincount(outcome.truth_images[own], minlength=outcome.num_images)
        found.append(Matches(outcome.det_scores[rows], verdicts.right[rows], outcome.det_images[rows], truths))
    return found


def above(outcome: Outcome, thresholds: np.ndarray | Sequence[float] | float) -> np.ndarray:
    """(D,) bool: the detections that score at least the threshold of their class.

    Args:
        outcome: the detections.
        thresholds: (K,) or one for all classes.
    """
    limits = np.broadcast_to(np.asarray(thresholds, np.float64), (outcome.num_classes,))
    reached: np.ndarray = outcome.det_scores >= limits[outcome.det_labels]
    return reached


def _beyond(outcome: Outcome, max_dets: int) -> np.ndarray:
    """(D,) bool: not among the best ``max_dets`` of its image and class."""
    beyond = np.zeros(len(outcome.det_scores), bool)
    if max_dets and len(beyond):
        group = outcome.det_images * outcome.num_classes + outcome.det_labels
        rows = np.lexsort((outcome.rank, group))
        starts = np.flatnonzero(np.diff(group[rows], prepend=-1))
        place = np.arange(len(rows)) - np.repeat(starts, np.diff(starts, append=len(rows)))
        beyond[rows] = place >= max_dets
    return beyond
