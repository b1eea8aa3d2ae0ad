"""The errors of a detector, as functions on arrays. Nothing here trains, detects or draws.

All functions take an ``Outcome.of(class_names, samples, detections)``.
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
from detkit.diagnosis.everything import Diagnosis, diagnose
from detkit.diagnosis.hoiem import Hoiem, HoiemClass, hoiem, similar_groups
from detkit.diagnosis.images import ImageErrors, worst_images
from detkit.diagnosis.ladder import Ladder, Rung, ladder
from detkit.diagnosis.lost import LostObject, LostObjects, lost_objects
from detkit.diagnosis.matching import Verdicts, coco_verdicts, matches_of, voc_verdicts
from detkit.diagnosis.normalized import NormalizedAP, normalized_ap
from detkit.diagnosis.outcome import Outcome
from detkit.diagnosis.plain import plain
from detkit.diagnosis.reliability import Reliability, reliability
from detkit.diagnosis.rules import AreaRange, RuleChange, Rules, voc_against_coco
from detkit.diagnosis.sensitivity import Characteristic, Sensitivity, sensitivity
from detkit.diagnosis.tide import Tide, tide
from detkit.diagnosis.trace import Trace

__all__ = [
    "APByIoU",
    "AreaRange",
    "Characteristic",
    "ConfusionMatrix",
    "Diagnosis",
    "Hoiem",
    "HoiemClass",
    "ImageErrors",
    "Ladder",
    "LostObject",
    "LostObjects",
    "NormalizedAP",
    "Outcome",
    "PRCurve",
    "Reliability",
    "RuleChange",
    "Rules",
    "Rung",
    "Sensitivity",
    "ThresholdCurve",
    "Tide",
    "Trace",
    "Verdicts",
    "ap_by_iou",
    "best_thresholds",
    "coco_verdicts",
    "confusion_matrix",
    "diagnose",
    "hoiem",
    "ladder",
    "lost_objects",
    "matches_of",
    "normalized_ap",
    "plain",
    "pr_curves",
    "reliability",
    "sensitivity",
    "similar_groups",
    "threshold_curves",
    "tide",
    "voc_against_coco",
    "voc_verdicts",
    "worst_images",
]
