"""Pictures of objects that no shown detection has found, each with the step that lost it."""

from __future__ import annotations

import numpy as np

from detkit.data.base import Dataset
from detkit.diagnosis import LostObject, lost_objects
from detkit.diagnosis.lost import IOU
from detkit.errors import counted
from detkit.report.page.blocks import Gallery, Picture
from detkit.report.page.crops import crop
from detkit.report.page.inputs import Inputs
from detkit.report.page.judged import Judged, in_turn

CROPS = 12
NEAR = 0.3
"""A detection with this IoU lies near an object."""


def missed(inputs: Inputs, judged: Judged) -> Gallery:
    """The section with the lost objects of ``detkit diagnose``: the largest of each class in turn."""
    assert inputs.dataset is not None
    outcome = judged.outcome
    lost = lost_objects(outcome, judged.thresholds, inputs.trace)
    rows = np.array([one.truth for one in lost.objects], np.int64)
    sides = outcome.truth_boxes[rows, 2:] - outcome.truth_boxes[rows, :2]
    largest = np.argsort(-sides.prod(1) / outcome.sizes[outcome.truth_images[rows]].prod(1), kind="stable")
    chosen = largest[in_turn(outcome.truth_labels[rows[largest]])[:CROPS]]
    steps = ", ".join(f"{step} {count}" for step, count in lost.counts.items() if count)
    caption = (
        f"{len(rows)} of {counted(lost.num_truths, 'object')} are missed, by the step that lost them: {steps}. An "
        f"object is found where a detection that is shown has taken it: by falling score, each takes the object of its "
        f"class that it overlaps most, of those that are free and that it overlaps by at least {IOU:g} (COCO's rule). "
        "These are the largest of each class, with the box that came furthest in orange."
    )
    return Gallery("Missed objects", caption, [_picture(inputs.dataset, judged, lost.objects[i]) for i in chosen])


def _picture(dataset: Dataset, judged: Judged, one: LostObject) -> Picture:
    outlines, why = [(one.box, "green")], one.why
    near = None if one.region else _nearest(judged, one.truth)
    if one.region:
        outlines.append((one.region, "orange"))
    elif near is not None:
        row, iou = near
        outlines.append((judged.outcome.det_boxes[row].tolist(), "orange"))
        why += f"; near it {judged.score_text(row)}, IoU {iou:.2f}"
    sample = dataset[int(judged.outcome.truth_images[one.truth])]
    alt = f"{one.class_name} in image {sample.image_id}, lost at the step {one.step}: {why}"
    return crop(sample, outlines, alt, (f"{one.class_name}, lost: {one.step}", why))


def _nearest(judged: Judged, truth: int) -> tuple[int, float] | None:
    """The best detection of an object's class near it, and its IoU."""
    outcome = judged.outcome
    pairs = outcome.overlaps[outcome.own_class]
    near = pairs[(pairs.truth == truth) & (pairs.iou >= NEAR)]
    if not len(near.det):
        return None
    best = int(outcome.det_scores[near.det].argmax())
    return int(near.det[best]), float(near.iou[best])
