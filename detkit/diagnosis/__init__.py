"""Why a detector fails, as functions on arrays: nothing here trains, detects or draws.

``Outcome.of(class_names, samples, detections)`` is what all functions take.
"""

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
from detkit.diagnosis.hoiem import Hoiem, HoiemClass, hoiem
from detkit.diagnosis.images import ImageErrors, worst_images
from detkit.diagnosis.matching import Verdicts, coco_verdicts, matches_of, voc_verdicts
from detkit.diagnosis.normalized import NormalizedAP, normalized_ap
from detkit.diagnosis.outcome import Outcome
from detkit.diagnosis.reliability import Reliability, reliability
from detkit.diagnosis.sensitivity import Characteristic, Sensitivity, sensitivity
from detkit.diagnosis.tide import Tide, tide

__all__ = [
    "APByIoU",
    "Characteristic",
    "ConfusionMatrix",
    "Hoiem",
    "HoiemClass",
    "ImageErrors",
    "NormalizedAP",
    "Outcome",
    "PRCurve",
    "Reliability",
    "Sensitivity",
    "ThresholdCurve",
    "Tide",
    "Verdicts",
    "ap_by_iou",
    "best_thresholds",
    "coco_verdicts",
    "confusion_matrix",
    "hoiem",
    "matches_of",
    "normalized_ap",
    "pr_curves",
    "reliability",
    "sensitivity",
    "threshold_curves",
    "tide",
    "voc_verdicts",
    "worst_images",
]
