"""The gallery of missed objects tells what ``detkit diagnose`` tells."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from detkit.diagnosis import Trace, lost_objects
from detkit.report.page.judged import Judged
from detkit.report.page.missed import missed
from detkit.structures import Annotations, Boxes, Detections, Sample


def trace_of(inputs):
    """What Detect would have kept of the inputs, had every detection been a candidate and NMS done nothing."""
    counts = [len(found) for found in inputs.detections]
    boxes, labels, scores = (
        np.concatenate([np.array(part(found), float) for found in inputs.detections])
        for part in (lambda f: f.boxes.tensor, lambda f: f.labels, lambda f: f.scores)
    )
    return Trace(
        proposal_boxes=np.concatenate([one.boxes.tensor.double().numpy() for one in inputs.proposals]),
        proposal_offsets=np.cumsum([0, *counts]),
        rows=np.concatenate([found.proposal_rows.numpy() for found in inputs.detections]),
        labels=labels.astype(np.int64),
        scores=scores,
        offsets=np.cumsum([0, *counts]),
        kept=np.ones(sum(counts), bool),
        refined=boxes,
        refined_scores=scores,
        set_limits=np.full(len(inputs.dataset.class_names), -np.inf),
        top_per_image=100,
        nms_iou=0.3,
        one_class_per_region=False,
    )


def test_each_missed_object_names_the_step_that_lost_it(inputs):
    # the first object of the first image loses its proposal, all detections of the last image score below 0
    first, last = inputs.detections[0], inputs.detections[-1]
    gone = first[first.proposal_rows != 0]
    low = replace(last, scores=last.scores - 10)
    changed = replace(inputs, detections=[gone, *inputs.detections[1:-1], low])
    trace = trace_of(replace(inputs, detections=[first, *changed.detections[1:]]))
    trace.proposal_boxes[0] = 0, 0, 1, 1
    gallery = missed(replace(changed, trace=trace), changed.judged)
    lost = lost_objects(changed.judged.outcome, changed.judged.thresholds, trace)
    steps = {one.step: count for one in lost.objects for count in [lost.counts[one.step]]}
    assert {"proposals", "score"} <= steps.keys()
    told = ", ".join(f"{step} {count}" for step, count in lost.counts.items() if count)
    assert gallery.caption.startswith(f"{len(lost.objects)} of {lost.num_truths} objects are missed, by the step")
    assert f"lost them: {told}." in gallery.caption
    expected = {(f"{one.class_name}, lost: {one.step}", one.why) for one in lost.objects}
    assert {picture.lines for picture in gallery.pictures} == expected
    assert all("lost at the step" in picture.alt for picture in gallery.pictures)


def test_an_object_that_is_free_for_a_second_detection_is_not_missed(inputs):
    # both detections overlap the first object most, so VOC calls the second one wrong; COCO gives it the other object
    truths = Annotations.of(Boxes.of([[0, 0, 100, 100], [0, 30, 100, 130]]), [0, 0])
    images = [Sample("one", Path("none.png"), (200, 200), truths)]
    found = Detections.of(Boxes.of([[0, 0, 100, 100], [0, 14, 100, 114]]), [0.9, 0.8], [0, 0])

    class Images(list):
        class_names = inputs.dataset.class_names

    judged = Judged.of(inputs.config, Images(images), [found], inputs.calibration)
    assert judged.verdicts.right.tolist() == [True, False]
    gallery = missed(replace(inputs, dataset=Images(images), trace=None), judged)
    assert gallery.caption.startswith("0 of 2 objects are missed") and not gallery.pictures


def test_a_detection_near_an_object_is_told_where_no_step_is_known(inputs):
    shifted = []
    for sample in inputs.dataset:
        boxes = sample.annotations.boxes.tensor.clone()
        boxes[:, 2] = boxes[:, 0] + 0.4 * (boxes[:, 2] - boxes[:, 0])
        shifted.append(Detections.of(Boxes(boxes), [0.5] * len(boxes), sample.annotations.labels.tolist()))
    halves = replace(inputs, detections=shifted, trace=None)
    lines = missed(halves, halves.judged).pictures[0].lines
    assert lines[0].endswith(", lost: unknown")
    assert lines[1] == "no detection in the files lies on it; near it score 0.50, IoU 0.40"
