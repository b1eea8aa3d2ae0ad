"""The training examples of box heads."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from detkit.box_heads.coding import Coder, encode_boxes
from detkit.regions.index import RegionIndex
from detkit.regions.label import box_targets
from detkit.structures import Boxes


@dataclass(frozen=True, eq=False)
class BoxExamples:
    """Regions near a ground truth, and the moves that would put them onto it.

    Args:
        rows: (M,) int64 rows of the index, ascending.
        labels: (M,) int64 class of the ground truth that each region overlaps best, over all classes.
        targets: (M, 4) float64, as ``encode_boxes`` gives them.
    """

    rows: np.ndarray
    labels: Tensor
    targets: Tensor

    @classmethod
    def collect(
        cls, index: RegionIndex, min_iou: float, *, inclusive: bool = False, coder: Coder = "log"
    ) -> BoxExamples:
        """All regions whose best IoU over all classes exceeds ``min_iou``; ground truths are among them, with target 0.

        Source: R-CNN, appendix C.
        """
        rows: list[np.ndarray] = []
        labels: list[Tensor] = []
        goals: list[Boxes] = []
        for image in range(index.num_images):
            truths = index.truths(image).used
            span = index.rows(image)
            truth_rows = box_targets(index.boxes[span], truths, min_iou)
            near = (truth_rows >= 0).nonzero()[:, 0]
            rows.append(span.start + near.numpy())
            labels.append(truths.labels[truth_rows[near]])
            goals.append(truths.boxes[truth_rows[near]])
        picked = np.concatenate([np.zeros(0, np.int64), *rows])
        return cls(
            rows=picked,
            labels=torch.cat([torch.zeros(0, dtype=torch.int64), *labels]),
            targets=encode_boxes(index.boxes[picked], Boxes.cat(goals), inclusive=inclusive, coder=coder),
        )

    def __len__(self) -> int:
        return len(self.rows)
