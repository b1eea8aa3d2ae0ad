"""Outcomes to diagnose: a few boxes by hand, many at random, and those of the shared folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from detkit.diagnosis import Outcome


def outcome(truths, dets, *, classes=("cat", "dog", "car"), images=1, size=(1000, 1000)):
    """Truths are (image, class, box, flags...), detections (image, class, box, score).

    Flags are "difficult", "crowd" and "truncated". Both are sorted by image; the order within an image stays.
    """
    truths, dets = (sorted(rows, key=lambda row: row[0]) for rows in (truths, dets))
    known = {name: label for label, name in enumerate(classes)} | {"other": -1}
    flags = [set(row[3:]) for row in truths]
    boxes = np.array([row[2] for row in truths], float).reshape(-1, 4)
    return Outcome(
        class_names=tuple(classes),
        image_ids=tuple(f"image{i}" for i in range(images)),
        sizes=np.tile(np.array(size), (images, 1)),
        det_boxes=np.array([row[2] for row in dets], float).reshape(-1, 4),
        det_scores=np.array([row[3] for row in dets], float),
        det_labels=np.array([known[row[1]] for row in dets], np.int64),
        det_images=np.array([row[0] for row in dets], np.int64),
        truth_boxes=boxes,
        truth_labels=np.array([known[row[1]] for row in truths], np.int64),
        truth_images=np.array([row[0] for row in truths], np.int64),
        difficult=np.array(["difficult" in f for f in flags], bool),
        crowd=np.array(["crowd" in f for f in flags], bool),
        area=(boxes[:, 2:] - boxes[:, :2]).prod(1),
        truncated=np.array([int("truncated" in f) for f in flags], np.int8),
    )


def random_outcome(
    seed, *, images=40, classes=6, truths=4, dets=12, difficult=0.0, crowd=0.0, other=0.0, levels=0, margins=False
):
    """Ground truths at random, and detections that are moved copies of them, some of another class, or stand anywhere.

    ``levels`` rounds the scores, so that many are equal.
    """
    rng = np.random.default_rng(seed)
    truth_images = np.repeat(np.arange(images), rng.integers(0, 2 * truths + 1, images))
    corners = rng.integers(0, 300, (len(truth_images), 2))
    boxes = np.concatenate([corners, corners + rng.integers(20, 200, (len(truth_images), 2))], 1).astype(float)
    labels = rng.integers(0, classes, len(boxes))
    flags = rng.random((3, len(boxes)))
    labels[flags[0] < other] = -1
    det_images = np.repeat(np.arange(images), rng.integers(0, 2 * dets + 1, images))
    det_boxes, det_labels = np.zeros((len(det_images), 4)), rng.integers(0, classes, len(det_images))
    moves, kinds = rng.normal(0, 0.15, (len(det_images), 4)), rng.random((2, len(det_images)))
    for row, image in enumerate(det_images):
        near = np.flatnonzero(truth_images == image)
        if len(near) and kinds[0, row] < 0.7:
            pick = near[int(kinds[1, row] * len(near))]
            sides = np.tile(boxes[pick, 2:] - boxes[pick, :2], 2)
            det_boxes[row] = boxes[pick] + moves[row] * sides
            if kinds[0, row] < 0.55 and labels[pick] >= 0:
                det_labels[row] = labels[pick]
        else:
            x, y = rng.integers(0, 300, 2)
            det_boxes[row] = (x, y, x + rng.integers(20, 200), y + rng.integers(20, 200))
    det_boxes[:, 2:] = np.maximum(det_boxes[:, 2:], det_boxes[:, :2] + 1)
    det_boxes = det_boxes.astype(np.float32).astype(float)
    scores = rng.random(len(det_images))
    scores = np.round(scores * levels) / levels if levels else scores
    return Outcome(
        class_names=tuple(f"class{k}" for k in range(classes)),
        image_ids=tuple(str(i) for i in range(images)),
        sizes=np.full((images, 2), 600),
        det_boxes=det_boxes,
        det_scores=4 * scores - 2 if margins else scores,
        det_labels=det_labels,
        det_images=det_images,
        truth_boxes=boxes,
        truth_labels=labels,
        truth_images=truth_images,
        difficult=flags[1] < difficult,
        crowd=flags[2] < crowd,
        area=(boxes[:, 2:] - boxes[:, :2]).prod(1),
        truncated=(rng.random(len(boxes)) < 0.3).astype(np.int8),
    )


RANDOM = {
    "plain": {"seed": 0},
    "equal scores": {"seed": 1, "levels": 5},
    "difficult": {"seed": 2, "difficult": 0.3},
    "crowds": {"seed": 3, "crowd": 0.3},
    "all": {"seed": 4, "difficult": 0.2, "crowd": 0.2, "other": 0.2, "levels": 20},
    "many detections": {"seed": 5, "images": 4, "truths": 12, "dets": 160},
    "classes without objects": {"seed": 6, "images": 6, "classes": 20, "truths": 2},
}
"""Arguments of ``random_outcome`` for which other programs' numbers are kept."""


def voc12(shared: Path) -> Outcome:
    """58 photographs of VOC2012, 25 of their objects difficult, with the detections of a YOLO."""
    from detkit.data.voc import VOC
    from detkit.evaluation.detection_files import read_detections

    root = shared / "data/voc2012_20cls/VOC2012"
    dataset = VOC(root=str(root), splits=("trainval",), on_bad="stop", needs_images=False)
    found = read_detections(shared / "data/oracles/voc12_yolo_dets/results", dataset)
    return Outcome.of(dataset.class_names, dataset, found)


def coco100(shared: Path) -> Outcome:
    """100 photographs of COCO with 734 detections."""
    from detkit.data.coco import COCO
    from detkit.evaluation.detection_files import read_detections

    folder = shared / "data/oracles/coco_fakebbox100"
    file = folder / "gt_instances_100.json"
    dataset = COCO(annotations=str(file), splits=("all",), on_bad="stop", needs_images=False)
    return Outcome.of(dataset.class_names, dataset, read_detections(folder / "dets_results.json", dataset))


SHARED_ORACLES = {"voc12": voc12, "coco100": coco100}
