"""The images on which most goes wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detkit.diagnosis.matching import above, coco_verdicts
from detkit.diagnosis.outcome import Outcome


@dataclass(frozen=True)
class ImageErrors:
    """What goes wrong on one image where detections are shown from a threshold on.

    Args:
        image: position in ``Outcome.image_ids``.
        image_id: its name.
        right: detections shown that found an object.
        wrong: detections shown that found none.
        missed: objects that were not found.
        f1: of the image; 1 where there is nothing to find and nothing is shown.
    """

    image: int
    image_id: str
    right: int
    wrong: int
    missed: int
    f1: float


def worst_images(
    outcome: Outcome, thresholds: Sequence[float] | np.ndarray | float, iou: float = 0.5
) -> tuple[ImageErrors, ...]:
    """All images, those with the most mistakes (wrong and missed) first; of equals the lower F1, then the list's order.

    Args:
        outcome: detections and ground truths.
        thresholds: the least score of each class (K,), or of all.
        iou: least overlap.
    """
    verdicts = coco_verdicts(outcome, iou, max_dets=0)
    shown = above(outcome, thresholds)
    num_images = outcome.num_images
    right = np.bincount(outcome.det_images[shown & verdicts.right], minlength=num_images)
    wrong = np.bincount(outcome.det_images[shown & verdicts.wrong], minlength=num_images)
    counted = np.bincount(outcome.truth_images[~outcome.ignored], minlength=num_images)
    missed = counted - right
    total = 2 * right + wrong + missed
    f1 = np.where(total, 2 * right / np.maximum(total, 1), 1.0)
    order = np.lexsort((np.arange(num_images), f1, -(wrong + missed)))
    return tuple(
        ImageErrors(i, outcome.image_ids[i], int(right[i]), int(wrong[i]), int(missed[i]), float(f1[i])) for i in order
    )
