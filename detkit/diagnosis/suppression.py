"""The box that suppresses each box in NMS."""

from __future__ import annotations

import numpy as np

from detkit.diagnosis.outcome import box_overlaps

STAYS, NO_AREA = -1, -2


def suppressors(boxes: np.ndarray, scores: np.ndarray, iou: float) -> np.ndarray:
    """(N,) the row that suppresses each box in greedy NMS; STAYS for a kept box, NO_AREA for one without area.

    Args:
        boxes: (N, 4) float64 of one class and image.
        scores: (N,); the lower row wins a tie.
        iou: a box is suppressed if its IoU with a kept box exceeds this.
    """
    by = np.full(len(scores), STAYS, np.int64)
    by[((boxes[:, 2:] - boxes[:, :2]) <= 0).any(1)] = NO_AREA
    kept: list[int] = []
    for row in np.argsort(-scores, kind="stable").tolist():
        if by[row] == NO_AREA:
            continue
        over = np.flatnonzero(ious(boxes[kept], boxes[row]) > iou)
        if len(over):
            by[row] = kept[over[0]]
        else:
            kept.append(row)
    return by


def ious(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """(N,) float64 IoU of boxes with one box."""
    found = np.zeros(len(boxes))
    pairs = box_overlaps(boxes, np.zeros(len(boxes), np.int64), box[None], np.zeros(1, np.int64), 1)
    found[pairs.det] = pairs.iou
    return found
