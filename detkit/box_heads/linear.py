"""The base classes of box heads with one linear map per class."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from detkit.box_heads.base import BoxHead
from detkit.box_heads.coding import Coder, decode_boxes, moved_corners
from detkit.box_heads.examples import BoxExamples
from detkit.regions.held import HeldRows
from detkit.regions.index import RegionIndex
from detkit.regions.source import FeatureSource, norm_sample
from detkit.structures import Boxes
from detkit.structures.state import checked_state

NORM_SEED = 3
"""The sample for the mean norm must be known before ``fit``, when features are stored, so its seed is fixed."""
NORM_ROWS_STORED = 20
"""Regions of an image in that sample: a tenth of the classifier's, because these rows are stored."""


class ClassLinear(BoxHead):
    """A box head with four linear outputs per class on scaled features.

    Args:
        num_classes: K.
        feature_dim: D.
        inclusive: whether a width is the last pixel minus the first, one less than the number of pixels.
        coder: what the four outputs are.
    """

    def __init__(self, num_classes: int, feature_dim: int, inclusive: bool, coder: Coder = "log") -> None:
        self.num_classes, self.feature_dim, self.inclusive = num_classes, feature_dim, inclusive
        self.coder: Coder = coder
        self.weight_ = torch.zeros(num_classes, 4, feature_dim)
        self.bias_ = torch.zeros(num_classes, 4)
        self.scale_ = torch.tensor(1.0)

    def refine(self, features: Tensor, boxes: Boxes, labels: Tensor) -> Boxes:
        """The boxes moved by the transforms of their labels, not clipped."""
        inputs, scale = self.inputs(features)
        deltas = torch.zeros(len(labels), 4)
        for k in labels.unique().tolist():
            own = labels == k
            deltas[own] = inputs[own] @ (self.weight_[k] * scale).T + self.bias_[k]
        return decode_boxes(boxes, deltas, inclusive=self.inclusive, coder=self.coder)

    def every_class(self, features: Tensor, corners: Tensor) -> Tensor:
        """(N, K, 4) boxes, moved by the transform of each class."""
        inputs, scale = self.inputs(features)
        deltas = inputs @ (self.weight_ * scale).flatten(0, 1).T + self.bias_.flatten()
        deltas = deltas.unflatten(1, (self.num_classes, 4))
        return moved_corners(corners[:, None], deltas, inclusive=self.inclusive, coder=self.coder)

    def inputs(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """What the outputs are linear in, here the (N, D) features, and the scale () of the weights."""
        return features, self.scale_

    def state(self) -> dict[str, Tensor]:
        """Weight (K, 4, D) and bias (K, 4) for scaled features, and the scale ()."""
        return {"weight": self.weight_, "bias": self.bias_, "scale": self.scale_}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restores what ``state`` returned."""
        shapes = {"weight": (self.num_classes, 4, self.feature_dim), "bias": (self.num_classes, 4), "scale": ()}
        loaded = checked_state(type(self).__name__, state, shapes)
        self.weight_, self.bias_, self.scale_ = loaded["weight"], loaded["bias"], loaded["scale"]


class LinearBoxHead(ClassLinear):
    """A linear box head that learns from regions near ground truths. A class without examples moves no box.

    Args:
        num_classes: K.
        feature_dim: D.
        min_iou: a region is an example if its best IoU with a ground truth is above this.
        target_norm: mean norm that features are scaled to; 0 does not scale them.
        inclusive: whether a width is the last pixel minus the first, one less than the number of pixels.
        coder: what the four outputs are.
    """

    example_keys = ("MIN_IOU", "TARGET_NORM")

    def __init__(
        self,
        num_classes: int,
        feature_dim: int,
        min_iou: float,
        target_norm: float,
        inclusive: bool,
        coder: Coder,
    ) -> None:
        super().__init__(num_classes, feature_dim, inclusive, coder)
        self.min_iou, self.target_norm = min_iou, target_norm
        self._report: dict[str, object] = {}

    def collect(self, index: RegionIndex) -> BoxExamples:
        """The examples of a split."""
        return BoxExamples.collect(index, self.min_iou, inclusive=self.inclusive, coder=self.coder)

    def example_rows(self, index: RegionIndex) -> np.ndarray:
        """Ascending rows of the examples, and of the sample of all regions whose mean norm sets the scale."""
        return np.union1d(self.collect(index).rows, self._norm_rows(index))

    def read(self, source: FeatureSource, examples: BoxExamples) -> HeldRows:
        """The features of all examples, read in one sweep over the images; it sets the scale of features, too."""
        sample = self._norm_rows(source.index)
        held = HeldRows(source, np.union1d(examples.rows, sample))
        if self.target_norm:
            self.scale_ = torch.tensor(self.target_norm / held.mean_norm_of(sample))
        return held

    def describe(self, examples: BoxExamples, **settings: float) -> None:
        """Writes the counts of examples and these settings into the report."""
        counts = torch.bincount(examples.labels, minlength=self.num_classes).tolist()
        self._report = {
            "scale": float(self.scale_),
            "examples": counts,
            "unmoved": [k for k, count in enumerate(counts) if count == 0],
            "min_iou": self.min_iou,
            **settings,
        }

    def _norm_rows(self, index: RegionIndex) -> np.ndarray:
        """The sample of regions for the mean norm, of as many images as for the classifier."""
        if not self.target_norm:
            return np.zeros(0, dtype=np.int64)
        return norm_sample(index, np.random.default_rng(NORM_SEED), num_rows=NORM_ROWS_STORED)

    def report(self) -> dict[str, object]:
        """What was learnt from, in lists with an entry a class; ``unmoved`` lists classes without examples."""
        return self._report
