"""How long a diagnosis of many detections takes, and in how much memory."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from figures import Figure
from inputs import Setting

from detkit.diagnosis import Outcome, diagnose, plain
from detkit.report.diagnosis_text import diagnosis_text

IMAGES, DETECTIONS, TRUTHS, CLASSES = 5000, 200_000, 15_000, 20


def figures(setting: Setting) -> list[Figure]:
    """All tables, as text and JSON, of detections drawn at random; in a process of its own, whose peak is told."""
    images, dets = (50, 2000) if setting.quick else (IMAGES, DETECTIONS)
    words = [sys.executable, str(Path(__file__)), str(images), str(dets)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    seconds, peak = json.loads(done.stdout)
    name = f"{images} images, {dets} detections"
    return [
        Figure("diagnosis", f"all tables of {name}", seconds, "s", aim="30 or less"),
        Figure("diagnosis", f"peak memory, {name}", peak, "GB", aim="2 or less"),
    ]


def drawn(images: int, dets: int) -> Outcome:
    """Ground truths anywhere, and detections of which half are moved copies of one in their image."""
    rng = np.random.default_rng(0)
    truths = images * TRUTHS // IMAGES
    truth_images, det_images = (np.sort(rng.integers(0, images, count)) for count in (truths, dets))
    truth_boxes, det_boxes = (_boxes(rng, count) for count in (truths, dets))
    truth_labels, det_labels = (rng.integers(0, CLASSES, count) for count in (truths, dets))
    first = np.searchsorted(truth_images, det_images)
    counts = np.searchsorted(truth_images, det_images, side="right") - first
    near = (rng.random(dets) < 0.5) & (counts > 0)
    copied = first[near] + (rng.random(near.sum()) * counts[near]).astype(int)
    sides = np.tile(truth_boxes[copied, 2:] - truth_boxes[copied, :2], 2)
    det_boxes[near] = truth_boxes[copied] + rng.normal(0, 0.1, (near.sum(), 4)) * sides
    det_labels[near] = np.where(rng.random(near.sum()) < 0.8, truth_labels[copied], det_labels[near])
    return Outcome(
        class_names=tuple(f"class {k}" for k in range(CLASSES)),
        image_ids=tuple(f"{i:06d}" for i in range(images)),
        sizes=np.full((images, 2), 500),
        det_boxes=det_boxes,
        det_scores=rng.random(dets),
        det_labels=det_labels,
        det_images=det_images,
        truth_boxes=truth_boxes,
        truth_labels=truth_labels,
        truth_images=truth_images,
        difficult=rng.random(truths) < 0.1,
        crowd=rng.random(truths) < 0.01,
        area=(truth_boxes[:, 2:] - truth_boxes[:, :2]).prod(1),
        truncated=(rng.random(truths) < 0.3).astype(np.int8),
    )


def _boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    corners = rng.uniform(0, 400, (count, 2))
    return np.concatenate([corners, corners + rng.uniform(10, 250, (count, 2))], 1)


if __name__ == "__main__":
    from detkit.system.memory import peak_memory

    outcome = drawn(int(sys.argv[1]), int(sys.argv[2]))
    start = time.perf_counter()
    found = diagnose(outcome, groups=[["class 0", "class 1"]])
    diagnosis_text(found)
    json.dumps(plain(found))
    print(json.dumps([time.perf_counter() - start, peak_memory() / 1e9]))
