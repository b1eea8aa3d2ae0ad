"""The paper's bounding-box regression."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Self

from detkit.box_heads.closed_form import solve_ridge
from detkit.box_heads.linear import LinearBoxHead
from detkit.config.ranges import Fraction, NonNegative, Positive
from detkit.progress import Progress
from detkit.regions.source import FeatureSource, LinearHead
from detkit.registry import BOX_HEADS

CHUNK = 2048
"""Rows of features that are read at once."""


@BOX_HEADS.register()
class Ridge(LinearBoxHead):
    """Ridge regression of the four targets in closed form, one model per class.

    The paper's code also whitens the targets. This class does not: with one alpha for all four outputs it changes
    nothing.
    Source: R-CNN, appendix C; rcnn_train_bbox_regressor.m for bias, centring and scale.

    Args:
        num_classes: K.
        feature_dim: D.
        alpha: weight of the squared norm of the coefficients against the sum of squared errors.
        min_iou: a region is an example if its best IoU with a ground truth is above this.
        target_norm: mean norm that features are scaled to; 0 does not scale them. A good ``alpha`` depends on it.
        bias: true subtracts the mean of the targets and adds a constant feature, penalised like the others, as the
            paper's code does; false is eq. 5 of the paper.
        widths: how the width of a box is measured: "exclusive" is its number of pixels; "inclusive" is one less, as in
            the paper's code.
        coder: what is learnt. "log", as in the paper: the shift of the centre divided by the box's side, and log(Gw /
            Pw) of the sides. "relative": Gw / Pw - 1 instead of the log. "pixels": differences of centres and of sides
            in pixels.

    Example:
        >>> import numpy as np
        >>> import torch
        >>> from detkit.testing.example import example_source
        >>> source = example_source()
        >>> head = Ridge(num_classes=1, feature_dim=2).fit(source, np.random.default_rng(0))
        >>> moved = head.refine(source.take(np.array([1])), source.index.boxes[[1]], torch.tensor([0]))
        >>> len(moved)
        1
    """

    def __init__(
        self,
        *,
        num_classes: int,
        feature_dim: int,
        alpha: Annotated[float, Positive] = 1000.0,
        min_iou: Annotated[float, Fraction] = 0.6,
        target_norm: Annotated[float, NonNegative] = 20.0,
        bias: bool = True,
        widths: Literal["exclusive", "inclusive"] = "exclusive",
        coder: Literal["log", "relative", "pixels"] = "log",
    ) -> None:
        super().__init__(num_classes, feature_dim, min_iou, target_norm, widths == "inclusive", coder)
        self.alpha = alpha
        self.bias = bias

    def fit(
        self,
        source: FeatureSource,
        rng: np.random.Generator,
        *,
        head: LinearHead | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Solves each class in its primal (D unknowns) or dual form (an unknown an example), whichever is smaller.

        ``rng`` is not used.
        """
        examples = self.collect(source.index)
        held = self.read(source, examples)
        self.weight_ = torch.zeros(self.num_classes, 4, self.feature_dim)
        self.bias_ = torch.zeros(self.num_classes, 4)
        for k in range(self.num_classes):
            own = (examples.labels == k).nonzero()[:, 0]
            if len(own):
                self._learn(k, held, examples.rows[own.numpy()], examples.targets[own])
            if progress is not None:
                progress.update()
        self.describe(examples, alpha=self.alpha)
        return self

    def _learn(self, k: int, source: FeatureSource, rows: np.ndarray, targets: Tensor) -> None:
        """Sets the coefficients of one class."""
        mean = targets.mean(0) if self.bias else torch.zeros(4, dtype=torch.float64)
        beta = solve_ridge(self._parts(source, rows), targets - mean, self.alpha).T
        self.weight_[k] = beta[:, : self.feature_dim]
        self.bias_[k] = mean + beta[:, self.feature_dim] if self.bias else mean

    def _parts(self, source: FeatureSource, rows: np.ndarray) -> Iterator[Tensor]:
        """The scaled features, with the constant one last, a few thousand rows at a time."""
        for start in range(0, len(rows), CHUNK):
            features = source.take(rows[start : start + CHUNK]) * self.scale_
            yield torch.cat([features, torch.ones(len(features), 1)], dim=1) if self.bias else features
