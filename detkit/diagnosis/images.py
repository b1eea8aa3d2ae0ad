"""The images with the most errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detkit.diagnosis.matching import above, coco_verdicts
from detkit.diagnosis.outcome import Outcome


@dataclass(frozen=True)
class ImageErrors:
    """The errors on one image, for detections above a threshold.

    Args:
        image: position in ``Outcome.image_ids``.
        image_id: id of the image.
        right: number of shown detections that found an object.
        wrong: number of shown detections that found none.
        missed: number of objects that were not found.
        f1: F1 of the image; 1 if there is no object and no shown detection.
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
    """All images, ordered by falling number of errors (wrong and missed), then by rising F1, then in list order.

    Args:
        outcome: detections and ground truths.
        thresholds: the lowest score that is shown, of each class (K,), or of all.
        iou: smallest IoU of a right detection.
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
