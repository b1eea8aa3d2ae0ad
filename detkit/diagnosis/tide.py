"""TIDE: six kinds of errors and the AP that each costs.

Source: Bolya, Foley, Hays and Hoffman, TIDE: a general toolbox for identifying object detection errors, ECCV 2020.
If paper and released code (tidecv 1.0.1) differ, this module follows the code:

- Loc is tested before Cls, and its range includes both ends: 0.1 <= IoU <= 0.5.
- Of all Loc and Cls errors on one free object, only the best one can be corrected, of either kind.
- A detection that an ignored region takes still counts as an error, and its correction makes it right.
- A class with detections but without objects has AP 0, which counts in the mean.
- Order of equal scores: as in the files for AP; errors before right detections after a correction.
- A negative gain of one of the six kinds is shown as 0.

One difference: scores may be below -1, as margins are. The released code raises an error for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from detkit.diagnosis.outcome import Outcome
from detkit.evaluation.curves import grid_ap

FOREGROUND, BACKGROUND = 0.5, 0.1
MAX_DETS = 100
GRID = np.arange(101) / 100

KINDS = ("Cls", "Loc", "Both", "Dupe", "Bkg", "Miss")
NO_ERROR, CLS, LOC, BOTH, DUPE, BKG = -1, 0, 1, 2, 3, 4


@dataclass(frozen=True, eq=False)
class Tide:
    """Errors by kind and the AP that each costs; AP is the mean over classes and 101 recalls at IoU 0.5.

    The gains do not add up to 1 - AP, because each is measured with all other errors uncorrected.

    Args:
        ap: AP without corrections; None without detections and objects.
        counts: number of errors of each of KINDS.
        gains: dAP of each of KINDS, as a fraction.
        special: dAP of "FalsePos" (all wrong detections come after all right ones) and of "FalseNeg" (missed objects
            do not count).
        kinds: (D,) int8 position in KINDS of each detection that is an error, -1 for others.
        points_at: (D,) int64 the ground truth that a Cls or Loc error points at, -1 for others.
        missed: (M,) int64 rows of the ground truths that are Miss.
    """

    ap: float | None
    counts: Mapping[str, int]
    gains: Mapping[str, float]
    special: Mapping[str, float]
    kinds: np.ndarray
    points_at: np.ndarray
    missed: np.ndarray


@dataclass(frozen=True, eq=False)
class _Points:
    """The detections that AP is computed from.

    Args:
        labels: (N,) the class that each counts for.
        right: (N,) bool.
        scores: (N,).
        place: (N,) order among equal scores.
        truths: (K,) objects of each class.
    """

    labels: np.ndarray
    right: np.ndarray
    scores: np.ndarray
    place: np.ndarray
    truths: np.ndarray

    def mean_ap(self) -> float:
        order = np.lexsort((self.place, -self.scores))
        labels, right = self.labels[order], self.right[order]
        aps = []
        for label, count in enumerate(self.truths.tolist()):
            hits = right[labels == label]
            if count == 0 and not len(hits):
                continue
            true = np.cumsum(hits)
            ap = grid_ap(true / count, true / np.arange(1, len(hits) + 1), GRID) if count else 0.0
            aps.append(float(ap))
        return sum(aps) / len(aps) if aps else float("nan")


def tide(outcome: Outcome) -> Tide:
    """TIDE's errors of the best 100 detections of each image, over all classes."""
    rows = _best_of_images(outcome)
    match = _Match(outcome, rows)
    kinds, points_at = match.errors()
    errors = rows[kinds[rows] != NO_ERROR]
    mendable = errors[points_at[errors] >= 0]
    mendable = mendable[~match.used[points_at[mendable]]]
    mended = _best_of_truths(outcome, mendable, points_at)
    counted = np.flatnonzero(~outcome.ignored)
    pointed = np.zeros(len(outcome.truth_labels), bool)
    pointed[points_at[mendable]] = True
    unfound = counted[~match.used[counted]]
    missed = unfound[~pointed[unfound]]

    points = match.points(rows)
    ap = points.mean_ap()
    gains = dict.fromkeys(KINDS, 0.0)
    for number, kind in enumerate(KINDS[:-1]):
        fixed = match.mended(rows, kinds, points_at, mended, number)
        gains[kind] = max(_gain(fixed, ap), 0.0)
    afterwards = match.mended(rows, kinds, points_at, mended, NO_ERROR)
    gains["Miss"] = max(_gain(_without(afterwards, outcome, missed), ap), 0.0)
    ranked = _Points(points.labels, points.right, points.right.astype(float), points.place, points.truths)
    special = {"FalsePos": _gain(ranked, ap), "FalseNeg": _gain(_without(afterwards, outcome, unfound), ap)}
    counts = {kind: int((kinds == number).sum()) for number, kind in enumerate(KINDS[:-1])} | {"Miss": len(missed)}
    return Tide(None if np.isnan(ap) else ap, counts, gains, special, kinds, points_at, missed)


class _Match:
    """Each detection, best first, takes the free object of its class with the largest overlap.

    Args:
        outcome: detections and ground truths.
        rows: the detections to match, image by image, in each best first.
    """

    def __init__(self, outcome: Outcome, rows: np.ndarray) -> None:
        self.outcome = outcome
        num_dets = len(outcome.det_scores)
        place = np.full(num_dets, -1)
        place[rows] = np.arange(len(rows))
        self.place = place
        pairs = outcome.overlaps
        self.pairs = pairs[(place[pairs.det] >= 0) & ~outcome.ignored[pairs.truth]]
        self.same = outcome.truth_labels[self.pairs.truth] == outcome.det_labels[self.pairs.det]
        self.right = np.zeros(num_dets, bool)
        self.used = np.zeros(len(outcome.truth_labels), bool)
        close = np.flatnonzero(self.same & (self.pairs.iou >= FOREGROUND))
        det, truth = self.pairs.det[close], self.pairs.truth[close]
        for row in np.lexsort((truth, -self.pairs.iou[close], place[det])).tolist():
            if not self.right[det[row]] and not self.used[truth[row]]:
                self.right[det[row]] = self.used[truth[row]] = True
        self.ignored = self._ignored(place)

    def _ignored(self, place: np.ndarray) -> np.ndarray:
        """(D,) bool: lies in an ignored region of its class by more than half, and is not right."""
        outcome = self.outcome
        pairs = outcome.overlaps
        inside = (pairs.inside > FOREGROUND) & outcome.ignored[pairs.truth] & outcome.own_class
        ignored = np.zeros(len(place), bool)
        ignored[pairs.det[inside]] = True
        kept: np.ndarray = ignored & ~self.right & (place >= 0)
        return kept

    def errors(self) -> tuple[np.ndarray, np.ndarray]:
        """(D,) int8 kind and (D,) int64 object pointed at."""
        pairs, same = self.pairs, self.same
        num_dets = len(self.right)
        own, own_truth = _largest(pairs.det, pairs.truth, pairs.iou, same, num_dets)
        other, other_truth = _largest(pairs.det, pairs.truth, pairs.iou, ~same, num_dets)
        used, _ = _largest(pairs.det, pairs.truth, pairs.iou, same & self.used[pairs.truth], num_dets)
        conditions = [
            self.right | (self.place < 0),
            (own >= BACKGROUND) & (own <= FOREGROUND),
            other >= FOREGROUND,
            used >= FOREGROUND,
            np.maximum(own, other) <= BACKGROUND,
        ]
        kinds = np.select(conditions, [NO_ERROR, LOC, CLS, DUPE, BKG], BOTH).astype(np.int8)
        points_at = np.where(kinds == LOC, own_truth, np.where(kinds == CLS, other_truth, -1))
        return kinds, points_at

    def points(self, rows: np.ndarray) -> _Points:
        """The points of AP without corrections; equal scores are in the order of the images."""
        rows = rows[~self.ignored[rows]]
        outcome = self.outcome
        return _Points(
            outcome.det_labels[rows], self.right[rows], outcome.det_scores[rows], self.place[rows], outcome.num_truths
        )

    def mended(
        self, rows: np.ndarray, kinds: np.ndarray, points_at: np.ndarray, mended: np.ndarray, number: int
    ) -> _Points:
        """The points of AP after the correction of one kind of error; of equal scores errors come first.

        Args:
            rows: the matched detections.
            kinds: (D,) kind of each detection.
            points_at: (D,) ground truth that each detection points at.
            mended: (D,) bool: the errors that become right when they are corrected.
            number: the kind to correct; NO_ERROR corrects none.
        """
        outcome = self.outcome
        is_mended = (kinds[rows] == number) & (number != NO_ERROR)
        stays = np.where(is_mended, mended[rows], ~self.ignored[rows])
        rows, is_mended = rows[stays], is_mended[stays]
        labels = outcome.det_labels[rows].copy()
        labels[is_mended] = outcome.truth_labels[points_at[rows[is_mended]]]
        was_right = self.right[rows]
        place = self.place[rows] + was_right * len(self.place)
        return _Points(labels, was_right | is_mended, outcome.det_scores[rows], place, outcome.num_truths)


def _gain(points: _Points, ap: float) -> float:
    """The gain in AP; 0 if no class is left, where the released code divides by zero."""
    gain = points.mean_ap() - ap
    return 0.0 if np.isnan(gain) else gain


def _without(points: _Points, outcome: Outcome, truths: np.ndarray) -> _Points:
    """The same where some ground truths do not count."""
    gone = np.bincount(outcome.truth_labels[truths], minlength=outcome.num_classes)
    return _Points(points.labels, points.right, points.scores, points.place, points.truths - gone)


def _largest(
    det: np.ndarray, truth: np.ndarray, iou: np.ndarray, some: np.ndarray, num_dets: int
) -> tuple[np.ndarray, np.ndarray]:
    """(D,) the largest overlap among some pairs, 0 for none, and (D,) its ground truth, the first of equals."""
    det, truth, iou = det[some], truth[some], iou[some]
    order = np.lexsort((truth, -iou, det))
    rows, first = np.unique(det[order], return_index=True)
    largest, which = np.zeros(num_dets), np.full(num_dets, -1, np.int64)
    largest[rows], which[rows] = iou[order][first], truth[order][first]
    return largest, which


def _best_of_images(outcome: Outcome) -> np.ndarray:
    """Rows of the best detections of each image, image by image, in each best first."""
    rows = np.lexsort((outcome.rank, outcome.det_images))
    starts = np.searchsorted(outcome.det_images, np.arange(outcome.num_images))
    place = np.arange(len(rows)) - starts[outcome.det_images[rows]]
    return rows[place < MAX_DETS]


def _best_of_truths(outcome: Outcome, errors: np.ndarray, points_at: np.ndarray) -> np.ndarray:
    """(D,) bool: of all errors that point at one object the best, of equal scores the first."""
    best = np.zeros(len(outcome.det_scores), bool)
    order = errors[np.argsort(-outcome.det_scores[errors], kind="stable")]
    best[order[np.unique(points_at[order], return_index=True)[1]]] = True
    return best
