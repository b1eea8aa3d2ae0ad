"""Test proposals near objects, with their targets and the errors of regression."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from detkit.box_heads.coding import encode_boxes
from detkit.structures import Boxes
from detkit.study.by_image import ByImage
from detkit.study.learnt import ScoredRegions

LEAST = 0.3
"""Overlap from which a proposal is looked at."""


@dataclass(frozen=True, eq=False)
class Near:
    """Test proposals that overlap an object, and how they are moved.

    Args:
        iou: (N,) IoU with the object that each overlaps most.
        image: (N,) number of the image of each.
        num_images: I.
        gap: (N,) mean of |log(1 + x) - x| of width and height, where x is the change of a side in sides.
        target: (N,) mean of the four targets' absolute values.
        error: (N,) mean absolute error of the regression's four numbers.
        after: (N,) overlap after regression.
    """

    iou: np.ndarray
    image: np.ndarray
    num_images: int
    gap: np.ndarray
    target: np.ndarray
    error: np.ndarray
    after: np.ndarray

    @classmethod
    def of(cls, test: ScoredRegions) -> Near:
        """The values of all test proposals whose IoU with an object is at least ``LEAST``."""
        index, scorer = test.index, test.scorer
        rows, labels, goals, ious = _objects(test)
        boxes = index.boxes[rows]
        moved = scorer.box_head.refine(test.layer(scorer.box_layer, rows), boxes, labels)
        targets = encode_boxes(boxes, goals)
        change = encode_boxes(boxes, goals, coder="relative")[:, 2:]
        return cls(
            iou=ious.numpy(),
            image=index.image[rows],
            num_images=index.num_images,
            gap=(torch.log1p(change) - change).abs().mean(1).numpy(),
            target=targets.abs().mean(1).numpy(),
            error=(encode_boxes(boxes, moved) - targets).abs().mean(1).numpy(),
            after=moved.iou_of_pairs(goals).numpy(),
        )

    def mean(self, values: np.ndarray, span: tuple[float, float]) -> ByImage:
        """The mean of some values over the proposals of a span of IoU."""
        own = (self.iou >= span[0]) & (self.iou < span[1])
        return ByImage.of(values[own], self.image[own], self.num_images)


def _objects(test: ScoredRegions) -> tuple[np.ndarray, Tensor, Boxes, Tensor]:
    """(N,) rows of proposals that overlap an object enough, its (N,) class and box, and the (N,) overlap."""
    index = test.index
    rows, labels, goals, ious = [np.zeros(0, np.int64)], [torch.zeros(0, dtype=torch.int64)], [Boxes.of([])], []
    for image in range(index.num_images):
        truths, span = index.truths(image).used, index.rows(image)
        if len(truths) == 0 or span.start == span.stop:
            continue
        best, which = index.boxes[span].iou(truths.boxes).max(1)
        near = (best >= LEAST).nonzero()[:, 0]
        rows.append(span.start + near.numpy())
        labels.append(truths.labels[which[near]])
        goals.append(truths.boxes[which[near]])
        ious.append(best[near])
    return np.concatenate(rows), torch.cat(labels), Boxes.cat(goals), torch.cat([torch.zeros(0), *ious]).double()
