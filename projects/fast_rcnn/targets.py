"""The box targets of Fast R-CNN."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from typing_extensions import Self

from detkit.box_heads.coding import encode_boxes
from detkit.regions.index import RegionIndex
from detkit.regions.source import LinearHead
from detkit.structures import Boxes

SAME = 1e-6
"""Deviation below which the moves of a class count as equal."""


@dataclass(frozen=True, eq=False)
class BoxTargets:
    """The moves of an index's foreground regions onto their objects, and their normalisation for each class.

    Source: Fast R-CNN, section 2.3 (the loss is on targets of zero mean and unit variance).

    Args:
        rows: (M,) int64 foreground rows of the index, ascending.
        labels: (M,) int64 their classes.
        moves: (M, 4) float32, as ``encode_boxes`` returns them.
        mean: (K, 4) float32 mean of the moves of each class.
        std: (K, 4) float32 standard deviation of the moves of each class; 1 if they do not differ.
    """

    rows: np.ndarray
    labels: np.ndarray
    moves: np.ndarray
    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def of(cls, index: RegionIndex, *, mirror: bool, stds: Sequence[float] = ()) -> Self:
        """The targets of an index. The goal of a region is the ground truth of its class that it overlaps best.

        Args:
            index: the regions.
            mirror: whether regions are mirrored in training. If so, mean and deviation include their mirror images.
            stds: four standard deviations for every class, with means of 0; empty computes both from the data.
        """
        rows = index.foreground_rows
        labels, goals = index.label[rows], [Boxes.of([])]
        for image, own in index.by_image(rows):
            truths, overlap = index.truths(image).used, index.boxes[rows[own]].iou(index.truths(image).used.boxes)
            has_label = torch.from_numpy(labels[own, None]) == truths.labels
            goals.append(truths.boxes[torch.where(has_label, overlap, -1.0).argmax(1)])
        moves = encode_boxes(index.boxes[rows], Boxes.cat(goals)).numpy()
        mean, std = np.zeros((index.num_classes, 4)), np.ones((index.num_classes, 4)) * (stds or 1.0)
        for k in [] if stds else np.unique(labels):
            own = moves[labels == k]
            both = np.concatenate([own, own * [-1, 1, 1, 1]]) if mirror else own
            mean[k], std[k] = both.mean(0), both.std(0)
        std[std < SAME] = 1
        return cls(rows, labels, moves.astype(np.float32), mean.astype(np.float32), std.astype(np.float32))

    def on(self, index: RegionIndex) -> Self:
        """The targets of another index, with the same normalisation."""
        return replace(type(self).of(index, mirror=False, stds=(1.0,) * 4), mean=self.mean, std=self.std)

    def take(self, rows: np.ndarray, flips: np.ndarray) -> np.ndarray:
        """(N, 4) float32 normalised targets of N rows of the index; mirrored where (N,) ``flips`` is true.

        Targets of background are 0.
        """
        out = np.zeros((len(rows), 4), np.float32)
        is_foreground = np.isin(rows, self.rows)
        at = np.searchsorted(self.rows, rows[is_foreground])
        moves, labels = self.moves[at], self.labels[at]
        moves[flips[is_foreground], 0] *= -1
        out[is_foreground] = (moves - self.mean[labels]) / self.std[labels]
        return out

    def folded(self, head: LinearHead) -> LinearHead:
        """The (4K, D) layer of unnormalised moves, from the layer of normalised moves."""
        mean, std = torch.from_numpy(self.mean).flatten(), torch.from_numpy(self.std).flatten()
        return LinearHead(head.weight * std[:, None], head.bias * std + mean)
