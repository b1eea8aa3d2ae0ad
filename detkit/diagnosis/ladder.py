"""The usual reasons why AP is 0 or far too low, each tested on the detections."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from detkit.diagnosis.corrections import corrections
from detkit.diagnosis.curves import aps
from detkit.diagnosis.matching import matches_of, voc_verdicts
from detkit.diagnosis.outcome import Outcome, box_overlaps
from detkit.diagnosis.suppression import STAYS, suppressors
from detkit.diagnosis.trace import Trace
from detkit.evaluation.curves import nan_mean

RUNGS = ("labels", "detections", "class names", "coordinates", "proposals", "scores", "NMS")
IOUS = (0.5, 0.75, 0.9)
TRIED_DETECTIONS = 20_000
"""Corrections are tried on so many detections, those of evenly spaced images."""
LEAST_GAIN, LEAST_RATIO = 0.03, 1.1
"""What a correction must add to AP, and by what factor it must raise it, to be named."""

Measure = Callable[[Outcome], float]
"""AP of an outcome."""


@dataclass(frozen=True)
class Rung:
    """One condition that must hold.

    Args:
        name: one of RUNGS.
        holds: whether it holds; None if it cannot be told.
        told: the finding, and how to repair it if the condition does not hold.
        figures: the numbers of the finding, by name.
    """

    name: str
    holds: bool | None
    told: str
    figures: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Ladder:
    """The conditions in order.

    Args:
        rungs: all conditions.
        first_broken: name of the first condition that does not hold; None if all hold.
    """

    rungs: tuple[Rung, ...]
    first_broken: str | None


def ladder(outcome: Outcome, trace: Trace | None = None, *, strict: bool = False) -> Ladder:
    """Tests the conditions in order, from the labels to the suppression of duplicates.

    A correction counts if it raises mean AP over IoU 0.5, 0.75 and 0.9 by at least 0.03 and by at least a tenth.

    Args:
        outcome: detections and ground truths.
        trace: the trace of the run, for its proposals; None if it is not known.
        strict: whether the overlap must exceed the threshold, as EVALUATION.VOC.STRICT_IOU says.
    """
    rungs = [_labels(outcome), _detections(outcome)]
    if all(rung.holds for rung in rungs):
        some, measure = _evenly(outcome), partial(_ap, strict=strict)
        rungs += [_class_names(some, measure), _coordinates(some, measure), _proposals(outcome, trace)]
        rungs += [_scores(some, measure), _nms(some, measure)]
    else:
        rungs += [Rung(name, None, "not looked at", {}) for name in RUNGS[len(rungs) :]]
    broken = next((rung.name for rung in rungs if rung.holds is False), None)
    return Ladder(tuple(rungs), broken)


def _labels(outcome: Outcome) -> Rung:
    objects, counted = len(outcome.truth_labels), int(outcome.num_truths.sum())
    figures = {"images": outcome.num_images, "objects": objects, "counted": counted}
    if counted:
        empty = [n for n, count in zip(outcome.class_names, outcome.num_truths) if not count]
        more = f"; none of {_names(empty)}" if empty else ""
        return Rung(RUNGS[0], True, f"{counted} objects count in {outcome.num_images} images{more}", figures)
    if objects:
        told = f"all {objects} objects are difficult, crowds or of classes that are not asked for; choose another split"
    else:
        told = f"{outcome.num_images} images without an object; look at the annotations and the split's name"
    return Rung(RUNGS[0], False, told, figures)


def _detections(outcome: Outcome) -> Rung:
    count = len(outcome.det_scores)
    told = (
        f"{count} detections" if count else "there are none; look at the step that writes them, or lower its threshold"
    )
    return Rung(RUNGS[1], count > 0, told, {"detections": count})


def _class_names(outcome: Outcome, measure: Measure) -> Rung:
    """Whether detections lie on objects of the class that they name."""
    ap = measure(outcome)
    pairs = outcome.overlaps
    close = (pairs.iou >= 0.5) & (outcome.truth_labels[pairs.truth] >= 0)
    table = np.zeros((outcome.num_classes,) * 2, np.int64)
    np.add.at(table, (outcome.det_labels[pairs.det[close]], outcome.truth_labels[pairs.truth[close]]), 1)
    lies_on = np.where(table.sum(1) > 0, table.argmax(1), np.arange(outcome.num_classes))
    renamed = measure(replace(outcome, det_labels=lies_on[outcome.det_labels]))
    figures = {"AP": ap, "AP renamed": renamed}
    detected = np.bincount(outcome.det_labels, minlength=outcome.num_classes) > 0
    common = detected & (outcome.num_truths > 0)
    if not _better(renamed, ap):
        if not common.any():
            absent, there = (
                [n for n, is_it in zip(outcome.class_names, own) if is_it] for own in (detected, outcome.num_truths > 0)
            )
            told = f"detections are of {_names(absent)}, objects of {_names(there)}; give both the same names"
            return Rung(RUNGS[2], False, told, figures)
        return Rung(RUNGS[2], True, "detections lie on objects of the class that they name, or on none", figures)
    wrong = [k for k in np.flatnonzero(detected) if lies_on[k] != k]
    shift = {int(lies_on[k] - k) for k in wrong}
    names = [f"{outcome.class_names[k]} lies on {outcome.class_names[lies_on[k]]}" for k in wrong]
    more = f"; class numbers are off by {shift.pop():+d}" if len(shift) == 1 and len(wrong) > 1 else ""
    told = f"what is called {_names(names)}{more}; with these names AP is {renamed:.3f} instead of {ap:.3f}"
    return Rung(RUNGS[2], False, told, figures)


def _coordinates(outcome: Outcome, measure: Measure) -> Rung:
    """Tries corrections without looking at classes, which may be wrong as well."""
    one = replace(
        outcome,
        class_names=("object",),
        det_labels=np.zeros_like(outcome.det_labels),
        truth_labels=np.minimum(outcome.truth_labels, 0),
    )
    ap = measure(one)
    height, width = outcome.sizes[outcome.det_images].astype(float).T
    found = {
        name: measure(replace(one, det_boxes=correct(outcome.det_boxes, width, height)))
        for name, correct in corrections().items()
    }
    best = max(found, key=lambda name: found[name])
    figures = {"AP of all classes as one": ap} | found
    if _better(found[best], ap):
        told = f"{best}: mended, AP of all classes as one is {found[best]:.3f} instead of {ap:.3f}"
        return Rung(RUNGS[3], False, told, figures)
    return Rung(
        RUNGS[3], True, f"none of {len(found)} corrections helps: AP of all classes as one is {ap:.3f}", figures
    )


def _proposals(outcome: Outcome, trace: Trace | None) -> Rung:
    if trace is None:
        return Rung(RUNGS[4], None, "detection files do not hold them", {})
    images = np.repeat(np.arange(outcome.num_images), np.diff(trace.proposal_offsets))
    pairs = box_overlaps(trace.proposal_boxes, images, outcome.truth_boxes, outcome.truth_images, outcome.num_images)
    reached = np.zeros(len(outcome.truth_labels), bool)
    reached[pairs.truth[pairs.iou >= 0.5]] = True
    recall = float(reached[~outcome.ignored].mean())
    each = len(images) / outcome.num_images
    told = f"{recall:.1%} of the objects are reached by one at IoU 0.5, {each:.0f} an image"
    told += "" if recall >= 0.5 else "; no detector finds the others: take another generator, or more proposals"
    return Rung(RUNGS[4], recall >= 0.5, told, {"recall": recall})


def _scores(outcome: Outcome, measure: Measure) -> Rung:
    distinct = len(np.unique(outcome.det_scores))
    if distinct == 1 and len(outcome.det_scores) > 1:
        told = f"all are {outcome.det_scores[0]:g}; AP needs an order, so write the scores, not the decision"
        return Rung(RUNGS[5], False, told, {"distinct": 1})
    ap, reverse = measure(outcome), measure(replace(outcome, det_scores=-outcome.det_scores))
    figures = {"distinct": distinct, "AP": ap, "AP reversed": reverse}
    if _better(reverse, ap):
        told = f"low ones are the better ones: with their sign changed AP is {reverse:.3f} instead of {ap:.3f}"
        return Rung(RUNGS[5], False, told, figures)
    return Rung(RUNGS[5], True, f"{distinct} different ones, high ones are the better ones", figures)


def _nms(outcome: Outcome, measure: Measure) -> Rung:
    ap = measure(outcome)
    group = outcome.det_images * outcome.num_classes + outcome.det_labels
    rows = np.argsort(group, kind="stable")
    stays = np.zeros(len(rows), bool)
    for own in np.split(rows, np.flatnonzero(np.diff(group[rows])) + 1):
        stays[own] = suppressors(outcome.det_boxes[own], outcome.det_scores[own], 0.5) == STAYS
    after = measure(_chosen(outcome, stays))
    gone = 1 - float(stays.mean())
    figures = {"AP": ap, "AP after NMS": after, "suppressed": gone}
    if _better(after, ap):
        told = (
            f"NMS at IoU 0.5 removes {gone:.0%} of the detections and raises AP from {ap:.3f} to {after:.3f}: apply it"
        )
        return Rung(RUNGS[6], False, told, figures)
    return Rung(RUNGS[6], True, f"NMS at IoU 0.5 would not raise AP; it would remove {gone:.0%}", figures)


def _ap(outcome: Outcome, *, strict: bool) -> float:
    """The mean over classes and three overlaps."""
    found = [aps(outcome, matches_of(outcome, voc_verdicts(outcome, iou, strict=strict))) for iou in IOUS]
    return float(np.nan_to_num(nan_mean(np.mean(found, 0))))


def _better(after: float, before: float) -> bool:
    return after >= before + LEAST_GAIN and after >= before * LEAST_RATIO


def _evenly(outcome: Outcome) -> Outcome:
    """The detections and ground truths of evenly spaced images, of which there are at most so many detections."""
    every = -(-len(outcome.det_scores) // TRIED_DETECTIONS)
    if every < 2:
        return outcome
    stays = outcome.det_images % every == 0
    truths = outcome.truth_images % every == 0
    names = ("truth_boxes", "truth_labels", "truth_images", "difficult", "crowd", "area", "truncated")
    return replace(_chosen(outcome, stays), **{name: getattr(outcome, name)[truths] for name in names})


def _chosen(outcome: Outcome, stays: np.ndarray) -> Outcome:
    names = ("det_boxes", "det_scores", "det_labels", "det_images")
    return replace(outcome, **{name: getattr(outcome, name)[stays] for name in names})


def _names(names: Iterable[str]) -> str:
    listed: Sequence[str] = list(names)
    return ", ".join(listed[:5]) + (f" and {len(listed) - 5} more" if len(listed) > 5 else "")
