"""A run's trace of the steps between proposals and detections."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True, eq=False)
class Trace:
    """The P proposals of a split and their C candidates, image by image.

    Args:
        proposal_boxes: (P, 4) float64.
        proposal_offsets: (I + 1,) int64; image i has the proposals offsets[i]:offsets[i+1].
        rows: (C,) int64 proposal of each candidate, counted within the image.
        labels: (C,) int64 class of each candidate.
        scores: (C,) float64 score of each candidate.
        offsets: (I + 1,) int64; image i has the candidates offsets[i]:offsets[i+1].
        kept: (C,) bool: whether it is inside the cap over the split.
        refined: (C, 4) float64 boxes after the box head, not clipped; undefined for candidates that are not kept.
        refined_scores: (C,) float64 scores after the box head; undefined for candidates that are not kept.
        set_limits: (K,) float64 the lowest score inside the cap over the split; -inf if the cap removes nothing.
        top_per_image: maximal number of candidates of a class in an image.
        nms_iou: a box is suppressed if its IoU with a better box exceeds this.
        one_class_per_region: whether a proposal is a candidate of one class only.
    """

    proposal_boxes: np.ndarray
    proposal_offsets: np.ndarray
    rows: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    offsets: np.ndarray
    kept: np.ndarray
    refined: np.ndarray
    refined_scores: np.ndarray
    set_limits: np.ndarray
    top_per_image: int
    nms_iou: float
    one_class_per_region: bool = False

    def proposals_of(self, image: int) -> slice:
        """The proposals of one image."""
        return slice(int(self.proposal_offsets[image]), int(self.proposal_offsets[image + 1]))

    def candidates_of(self, image: int) -> np.ndarray:
        """The rows of one image's candidates."""
        return np.arange(self.offsets[image], self.offsets[image + 1])

    @cached_property
    def images(self) -> np.ndarray:
        """(C,) the image of each candidate."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def refined_in(self, sizes: np.ndarray) -> np.ndarray:
        """(C, 4) boxes after the box head, clipped to their images of (I, 2) height and width."""
        limit = sizes[self.images][:, [1, 0, 1, 0]]
        cut: np.ndarray = np.clip(self.refined, 0, limit)
        return cut
