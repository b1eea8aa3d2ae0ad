"""Objects that were not found, each with the step that lost it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from detkit.diagnosis.matching import above, coco_verdicts
from detkit.diagnosis.outcome import Outcome
from detkit.diagnosis.suppression import STAYS, ious, suppressors
from detkit.diagnosis.trace import Trace

IOU = 0.5
STEPS = ("proposals", "score", "cap per image", "cap over the set", "box head", "nms", "shared", "unknown")
"""The steps of a detector in turn; "shared": a detection lies on the object and counts for another one."""
NOT_IN_FILES = ("proposals", "cap per image", "cap over the set", "box head", "nms")
"""Steps of which detection files alone say nothing."""


@dataclass(frozen=True)
class LostObject:
    """One object that no detection above the threshold of its class found.

    Args:
        truth: its row in the outcome.
        image_id: its image.
        class_name: its class.
        box: x1, y1, x2, y2.
        step: the step that lost it, one of STEPS.
        why: a sentence.
        iou: IoU with the object, at this step, of the region that came furthest; None if not known.
        score: score of that region for the class.
        threshold: the score from which the class is shown.
        region: box of that region; None if there is none.
        by_box: the box that suppressed it.
        by_score: the score of that box.
        seen_as: another class that is shown in its place; None if there is none.
    """

    truth: int
    image_id: str
    class_name: str
    box: tuple[float, ...]
    step: str
    why: str
    iou: float | None = None
    score: float | None = None
    threshold: float | None = None
    region: tuple[float, ...] | None = None
    by_box: tuple[float, ...] | None = None
    by_score: float | None = None
    seen_as: str | None = None


@dataclass(frozen=True, eq=False)
class LostObjects:
    """The lost objects of a split.

    Args:
        objects: the lost objects, in the order of the ground truths.
        num_truths: number of all objects that count.
        counts: number of lost objects by step.
        unknown_steps: steps that could not be examined.
    """

    objects: tuple[LostObject, ...]
    num_truths: int
    counts: Mapping[str, int]
    unknown_steps: tuple[str, ...]


def lost_objects(
    outcome: Outcome, thresholds: Sequence[float] | np.ndarray | float, trace: Trace | None = None
) -> LostObjects:
    """Follows each lost object through the steps of the detector to the first step that leaves no region of it.

    An object is found if a detection of its class with at least the threshold has taken it, by COCO's matching at
    IoU 0.5.

    Args:
        outcome: detections and ground truths.
        thresholds: the lowest score that is shown, of each class (K,), or of all.
        trace: the run's trace of its steps; None for detection files, which tell less.
    """
    limits = np.broadcast_to(np.asarray(thresholds, np.float64), (outcome.num_classes,))
    shown = above(outcome, limits)
    verdicts = coco_verdicts(outcome, IOU, max_dets=0)
    lost = ~outcome.ignored
    lost[verdicts.truth[shown & verdicts.right]] = False
    rows = np.flatnonzero(lost)
    seen = _seen_as(outcome, shown, rows)
    follow = _Followed(outcome, limits, trace) if trace is not None else _InFiles(outcome, limits)
    found = tuple(follow.object(int(row), seen.get(int(row))) for row in rows)
    counts = {step: sum(one.step == step for one in found) for step in STEPS}
    unknown = () if trace is not None else NOT_IN_FILES
    return LostObjects(found, int((~outcome.ignored).sum()), counts, unknown)


class _Objects:
    """Makes the answers for one split."""

    def __init__(self, outcome: Outcome, limits: np.ndarray) -> None:
        self.outcome, self.limits = outcome, limits

    def _lost(self, row: int, step: str, why: str, seen_as: str | None, **facts: Any) -> LostObject:
        outcome, label = self.outcome, int(self.outcome.truth_labels[row])
        more = f"; {seen_as} is shown at its place" if seen_as else ""
        return LostObject(
            truth=row,
            image_id=outcome.image_ids[outcome.truth_images[row]],
            class_name=outcome.class_names[label],
            box=_plain(outcome.truth_boxes[row]),
            step=step,
            why=why + more,
            threshold=float(self.limits[label]),
            seen_as=seen_as,
            **facts,
        )


class _InFiles(_Objects):
    """The explanations that detection files alone allow."""

    def __init__(self, outcome: Outcome, limits: np.ndarray) -> None:
        super().__init__(outcome, limits)
        pairs = outcome.overlaps
        self.pairs = pairs[(pairs.iou >= IOU) & (outcome.truth_labels[pairs.truth] == outcome.det_labels[pairs.det])]

    def object(self, row: int, seen_as: str | None) -> LostObject:
        own = self.pairs[self.pairs.truth == row]
        if not len(own.det):
            return self._lost(row, "unknown", "no detection in the files lies on it", seen_as)
        scores = self.outcome.det_scores[own.det]
        best = int(scores.argmax())
        score, limit = float(scores[best]), self.limits[self.outcome.truth_labels[row]]
        facts = {"iou": float(own.iou[best]), "score": score, "region": _plain(self.outcome.det_boxes[own.det[best]])}
        if score < limit:
            return self._lost(row, "score", _below(score, limit), seen_as, **facts)
        return self._lost(row, "shared", _SHARED, seen_as, **facts)


class _Followed(_Objects):
    """The explanations from a run's trace."""

    def __init__(self, outcome: Outcome, limits: np.ndarray, trace: Trace) -> None:
        super().__init__(outcome, limits)
        self.trace = trace
        self.refined = trace.refined_in(outcome.sizes)

    def object(self, row: int, seen_as: str | None) -> LostObject:
        outcome, trace = self.outcome, self.trace
        image, label = int(outcome.truth_images[row]), int(outcome.truth_labels[row])
        limit = float(self.limits[label])
        regions = trace.proposals_of(image)
        iou = ious(trace.proposal_boxes[regions], outcome.truth_boxes[row])
        best = float(iou.max(initial=0.0))
        if best < IOU:
            box = _plain(trace.proposal_boxes[regions][iou.argmax()]) if best else None
            why = f"no proposal reaches it: the best of {len(iou)} has IoU {best:.2f}"
            return self._lost(row, "proposals", why, seen_as, iou=best, region=box)
        candidates = trace.candidates_of(image)
        of_class = candidates[trace.labels[candidates] == label]
        reaching = iou[trace.rows[of_class]] >= IOU
        own = of_class[reaching]
        if not len(own):
            return self._no_candidate(row, of_class, limit, seen_as, best)
        own = own[np.argsort(-trace.scores[own], kind="stable")]
        score = float(trace.scores[own[0]])
        place = trace.rows[own[0]]
        first = {"iou": float(iou[place]), "score": score, "region": _plain(trace.proposal_boxes[regions][place])}
        if score < limit:
            return self._lost(row, "score", _below(score, limit), seen_as, **first)
        kept = own[(trace.scores[own] >= limit) & trace.kept[own]]
        if not len(kept):
            why = f"its best region scores {score:.3g}, and the cap over the set leaves {trace.set_limits[label]:.3g}"
            return self._lost(row, "cap over the set", why, seen_as, **first)
        scored = trace.refined_scores[kept] >= limit
        if not scored.any():
            score = float(trace.refined_scores[kept].max())
            why = f"its best region scores {score:.3g} after the box head, the threshold is {limit:.3g}"
            return self._lost(row, "score", why, seen_as, **{**first, "score": score})
        kept = kept[scored]
        kept = kept[np.argsort(-trace.refined_scores[kept], kind="stable")]
        after = ious(self.refined[kept], outcome.truth_boxes[row])
        if after.max() < IOU:
            furthest = int(after.argmax())
            why = (
                f"the box head moved its region from IoU {iou[trace.rows[kept[furthest]]]:.2f} to {after[furthest]:.2f}"
            )
            return self._lost(row, "box head", why, seen_as, **self._at(kept[furthest], after[furthest]))
        return self._suppressed(row, kept[after >= IOU], float(after[after >= IOU][0]), of_class, seen_as)

    def _suppressed(
        self, row: int, on_it: np.ndarray, overlap: float, of_class: np.ndarray, seen_as: str | None
    ) -> LostObject:
        """Candidates lie on the object after the box head, best first: what NMS did to them."""
        trace = self.trace
        whole = of_class[trace.kept[of_class]]
        by = suppressors(self.refined[whole], trace.refined_scores[whole], trace.nms_iou)
        ends = by[np.searchsorted(whole, on_it)]
        facts = self._at(on_it[0], overlap)
        if (ends == STAYS).any():
            return self._lost(row, "shared", _SHARED, seen_as, **facts)
        winner = whole[ends[0]]
        box, score = self.refined[winner], float(trace.refined_scores[winner])
        shares = float(ious(box[None], self.refined[on_it[0]])[0])
        why = (
            f"NMS removed its region, which scores {trace.refined_scores[on_it[0]]:.3g}: a box that scores {score:.3g} "
            f"overlaps it by {shares:.2f}"
        )
        return self._lost(row, "nms", why, seen_as, by_box=_plain(box), by_score=score, **facts)

    def _at(self, candidate: int, overlap: float) -> dict[str, Any]:
        """Overlap, score and box of a candidate after the box head."""
        score = float(self.trace.refined_scores[candidate])
        return {"iou": float(overlap), "score": score, "region": _plain(self.refined[candidate])}

    def _no_candidate(
        self, row: int, of_class: np.ndarray, limit: float, seen_as: str | None, best: float
    ) -> LostObject:
        """A proposal reaches the object, and none of those that do is a candidate of its class."""
        trace = self.trace
        if len(of_class) >= trace.top_per_image:
            least = float(trace.scores[of_class].min())
            if least < limit:
                why = f"its regions score less than {least:.3g}, the threshold is {limit:.3g}"
                return self._lost(row, "score", why, seen_as, iou=best)
            why = f"{len(of_class)} regions of the image score at least {least:.3g}, and its own less"
            return self._lost(row, "cap per image", why, seen_as, iou=best)
        reason = "its regions went to other classes" if trace.one_class_per_region else "the class never fires there"
        return self._lost(row, "score", reason, seen_as, iou=best)


def _seen_as(outcome: Outcome, shown: np.ndarray, rows: np.ndarray) -> dict[int, str]:
    """For each ground truth, the other class that is shown on it with the largest overlap."""
    pairs = outcome.overlaps
    other = shown[pairs.det] & (pairs.iou >= IOU) & (outcome.det_labels[pairs.det] != outcome.truth_labels[pairs.truth])
    pairs = pairs[other & np.isin(pairs.truth, rows)]
    pairs = pairs[np.lexsort((-pairs.iou, pairs.truth))]
    truths, first = np.unique(pairs.truth, return_index=True)
    labels = outcome.det_labels[pairs.det[first]]
    return {int(truth): outcome.class_names[label] for truth, label in zip(truths, labels)}


def _below(score: float, limit: float) -> str:
    return f"its best region scores {score:.3g}, the threshold is {limit:.3g}"


def _plain(box: np.ndarray) -> tuple[float, ...]:
    return tuple(float(edge) for edge in box)


_SHARED = "a detection lies on it and counts for another object"
