"""The difference between VOC's mAP and COCO's AP, rule by rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from detkit.diagnosis.curves import COCO_GRID, IOUS, VOC_GRID, aps
from detkit.diagnosis.matching import Verdicts, coco_verdicts, matches_of, voc_verdicts
from detkit.diagnosis.outcome import Outcome
from detkit.evaluation.curves import nan_mean

AREAS = {"small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}


@dataclass(frozen=True)
class RuleChange:
    """The replacement of one rule of VOC by COCO's, in addition to all earlier ones.

    Args:
        rule: the new rule.
        mean_ap: mean AP with the rule, as a fraction; None without objects.
        change: difference to the previous line; None for the first.
        verdicts: number of detections whose verdict differs from that of the previous line.
        why: the data that the rule affects.
    """

    rule: str
    mean_ap: float | None
    change: float | None
    verdicts: int
    why: str


@dataclass(frozen=True)
class AreaRange:
    """AP at IoU 0.5 by COCO's rules over objects of one range of areas; VOC has no such ranges.

    Args:
        objects: number of objects.
        ap50: AP; None if there are no objects.
    """

    objects: int
    ap50: float | None


@dataclass(frozen=True, eq=False)
class Rules:
    """The steps from VOC2007's mAP to COCO's AP, rule by rule.

    Args:
        changes: the first is VOC07, the last but one COCO's AP50, the last COCO's AP.
        areas: AP of each range of areas, by name.
    """

    changes: tuple[RuleChange, ...]
    areas: Mapping[str, AreaRange]


def voc_against_coco(outcome: Outcome, *, strict: bool = False) -> Rules:
    """Replaces the rules of VOC by those of COCO, one after the other.

    Args:
        outcome: detections and ground truths.
        strict: whether VOC's overlap must exceed 0.5; if so, there is one more change, because COCO accepts 0.5.
    """
    voc, free = voc_verdicts(outcome), coco_verdicts(outcome, max_dets=0, crowds=False)
    crowds, capped = coco_verdicts(outcome, max_dets=0), coco_verdicts(outcome)
    ignored = int(outcome.ignored.sum())
    num_crowds, dropped = int(outcome.crowd.sum()), int((capped.ignored & ~crowds.ignored).sum())
    stolen = int((free.right & ~voc.right).sum())
    first = voc_verdicts(outcome, strict=True) if strict else voc
    lines: list[tuple[str, np.ndarray, Verdicts, str]] = [
        ("VOC07", _aps(outcome, first, VOC_GRID), first, "mean precision at 11 recalls"),
        ("VOC10", _aps(outcome, first, None), first, "the area under the curve"),
        ("101 recalls", _aps(outcome, first, COCO_GRID), first, "mean precision at 101 recalls"),
    ]
    if strict:
        equal = int((voc.truth >= 0).sum() - (first.truth >= 0).sum())
        why = f"STRICT_IOU asks for more; {equal} detections have exactly 0.5"
        lines.append(("IoU 0.5 is enough", _aps(outcome, voc, COCO_GRID), voc, why))
    lines += [
        (
            "best free object",
            _aps(outcome, free, COCO_GRID),
            free,
            f"VOC looks at the object of largest overlap alone: {stolen} detections find it taken and another free; "
            f"COCO gives each of {ignored} ignored objects to one detection only",
        ),
        (
            "crowds by what lies inside",
            _aps(outcome, crowds, COCO_GRID),
            crowds,
            f"{num_crowds} crowds take any detection of which half lies inside",
        ),
        (
            "100 detections of an image and class (AP50)",
            _aps(outcome, capped, COCO_GRID),
            capped,
            f"{dropped} detections are beyond",
        ),
    ]
    over = [_aps(outcome, coco_verdicts(outcome, iou), COCO_GRID) for iou in IOUS]
    lines.append(("mean of ten IoUs, 0.5 to 0.95 (AP)", np.mean(over, 0), capped, "AP50 asks for IoU 0.5 alone"))
    changes: list[RuleChange] = []
    before = first
    for rule, values, verdicts, why in lines:
        mean = float(nan_mean(values))
        last = changes[-1].mean_ap if changes else None
        changed = (verdicts.right != before.right) | (verdicts.ignored != before.ignored)
        known = None if np.isnan(mean) else mean
        change = None if known is None or last is None else known - last
        changes.append(RuleChange(rule, known, change, int(changed.sum()), why))
        before = verdicts
    return Rules(tuple(changes), {name: _of_area(outcome, limits) for name, limits in AREAS.items()})


def _aps(outcome: Outcome, verdicts: Verdicts, grid: np.ndarray | None) -> np.ndarray:
    return aps(outcome, matches_of(outcome, verdicts), grid)


def _of_area(outcome: Outcome, limits: tuple[float, float]) -> AreaRange:
    outside = (outcome.area < limits[0]) | (outcome.area > limits[1])
    within = replace(outcome, difficult=outcome.difficult | outside)
    mean = float(nan_mean(_aps(within, coco_verdicts(within, areas=limits), COCO_GRID)))
    return AreaRange(int(within.num_truths.sum()), None if np.isnan(mean) else mean)
