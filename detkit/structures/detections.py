"""Scored, labelled boxes of one image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from detkit.structures.boxes import Boxes


@dataclass(frozen=True, eq=False)
class Detections:
    """The detections of one image.

    Args:
        boxes: N boxes, clipped to the image.
        scores: (N,) float32, higher is better; margins or probabilities.
        labels: (N,) int64 classes 0..K-1.
        proposal_rows: (N,) int64 row of the proposal that each came from, or -1 if it is not known.
    """

    boxes: Boxes
    scores: Tensor
    labels: Tensor
    proposal_rows: Tensor

    def __post_init__(self) -> None:
        for name, dtype in (("scores", torch.float32), ("labels", torch.int64), ("proposal_rows", torch.int64)):
            value = getattr(self, name)
            if value.dtype != dtype or value.shape != (len(self.boxes),):
                raise ValueError(
                    f"detections: expected {name} {dtype} ({len(self.boxes)},), got {value.dtype} {tuple(value.shape)}"
                )

    @classmethod
    def of(cls, boxes: Boxes, scores: Tensor | list[float], labels: Tensor | list[int]) -> Detections:
        """Detections that do not come from this run's proposals: their rows are -1."""
        return cls(
            boxes,
            torch.as_tensor(scores, dtype=torch.float32),
            torch.as_tensor(labels, dtype=torch.int64),
            torch.full((len(boxes),), -1, dtype=torch.int64),
        )

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: Tensor | slice) -> Detections:
        return Detections(self.boxes[rows], self.scores[rows], self.labels[rows], self.proposal_rows[rows])
