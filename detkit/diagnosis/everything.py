"""The whole diagnosis in one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from detkit.diagnosis.confusion import ConfusionMatrix, confusion_matrix
from detkit.diagnosis.curves import (
    APByIoU,
    PRCurve,
    ThresholdCurve,
    ap_by_iou,
    best_thresholds,
    pr_curves,
    threshold_curves,
)
from detkit.diagnosis.hoiem import Hoiem, hoiem
from detkit.diagnosis.images import ImageErrors, worst_images
from detkit.diagnosis.ladder import Ladder, ladder
from detkit.diagnosis.lost import LostObjects, lost_objects
from detkit.diagnosis.outcome import Outcome
from detkit.diagnosis.reliability import Reliability, reliability, scores_as_probabilities
from detkit.diagnosis.rules import Rules, voc_against_coco
from detkit.diagnosis.sensitivity import Sensitivity, sensitivity
from detkit.diagnosis.tide import Tide, tide
from detkit.diagnosis.trace import Trace


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """All results for one outcome.

    Args:
        class_names: the K classes.
        num_images: number of images of the split.
        num_detections: number of detections.
        num_truths: number of objects that count.
        thresholds: (K,) scores from which classes are shown, for confusion, images and lost objects.
        thresholds_from: "model" for the model's own, "best F1" for those that are best on these images.
        ladder: reasons why AP may be 0.
        pr_curves: precision-recall curve of each class.
        ap_by_iou: AP by VOC's and COCO's rules.
        rules: differences between these rules.
        threshold_curves: threshold curve of each class.
        confusion: confusion matrix at the thresholds.
        reliability: reliability of the probabilities; None if scores are no probabilities.
        hoiem: false positives by kind.
        sensitivity: AP by size, shape and truncation.
        tide: kinds of errors and the AP that they cost.
        images: errors of each image, the worst first.
        lost: objects that were not found.
    """

    class_names: tuple[str, ...]
    num_images: int
    num_detections: int
    num_truths: int
    thresholds: np.ndarray
    thresholds_from: Literal["model", "best F1"]
    ladder: Ladder
    pr_curves: tuple[PRCurve, ...]
    ap_by_iou: APByIoU
    rules: Rules
    threshold_curves: tuple[ThresholdCurve, ...]
    confusion: ConfusionMatrix
    reliability: Reliability | None
    hoiem: Hoiem
    sensitivity: tuple[Sensitivity, ...]
    tide: Tide
    images: tuple[ImageErrors, ...]
    lost: LostObjects


def diagnose(
    outcome: Outcome,
    *,
    own_thresholds: Sequence[float] | np.ndarray | None = None,
    probabilities: np.ndarray | None = None,
    groups: Sequence[Sequence[str]] | None = None,
    trace: Trace | None = None,
    strict: bool = False,
) -> Diagnosis:
    """The whole diagnosis of an outcome.

    Args:
        outcome: detections and ground truths.
        own_thresholds: (K,) scores from which the model shows a class; None takes those of best F1 on these images.
        probabilities: (D,) probability of each detection; None takes the scores if all are from 0 to 1.
        groups: names of similar classes; None takes VOC's groups for VOC's classes.
        trace: the run's trace of its steps; None for detection files.
        strict: whether VOC's overlap must exceed the threshold, as EVALUATION.VOC.STRICT_IOU says.
    """
    curves = threshold_curves(outcome, own_thresholds, strict=strict)
    limits = best_thresholds(curves) if own_thresholds is None else np.asarray(own_thresholds, np.float64)
    if probabilities is None:
        probabilities = scores_as_probabilities(outcome)
    return Diagnosis(
        class_names=outcome.class_names,
        num_images=outcome.num_images,
        num_detections=len(outcome.det_scores),
        num_truths=int(outcome.num_truths.sum()),
        thresholds=limits,
        thresholds_from="best F1" if own_thresholds is None else "model",
        ladder=ladder(outcome, trace, strict=strict),
        pr_curves=pr_curves(outcome, strict=strict),
        ap_by_iou=ap_by_iou(outcome, strict=strict),
        rules=voc_against_coco(outcome, strict=strict),
        threshold_curves=curves,
        confusion=confusion_matrix(outcome, limits),
        reliability=None if probabilities is None else reliability(outcome, probabilities, strict=strict),
        hoiem=hoiem(outcome, groups),
        sensitivity=sensitivity(outcome),
        tide=tide(outcome),
        images=worst_images(outcome, limits),
        lost=lost_objects(outcome, limits, trace),
    )
