"""No box head."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor
from typing_extensions import Self

from detkit.box_heads.base import BoxHead
from detkit.progress import Progress
from detkit.regions.index import RegionIndex
from detkit.regions.source import FeatureSource, LinearHead
from detkit.registry import BOX_HEADS
from detkit.structures import Boxes


@BOX_HEADS.register()
class Identity(BoxHead):
    """The box head that moves no box.

    Args:
        num_classes: not used.
        feature_dim: not used.

    Example:
        >>> import numpy as np
        >>> import torch
        >>> from detkit.testing.example import example_source
        >>> source = example_source()
        >>> head = Identity(num_classes=1, feature_dim=2).fit(source, np.random.default_rng(0))
        >>> moved = head.refine(source.take(np.array([1])), source.index.boxes[[1]], torch.tensor([0]))
        >>> len(moved)
        1
    """

    reads_features = False

    def __init__(self, *, num_classes: int, feature_dim: int) -> None:
        self.num_classes = num_classes
        self.feature_dim = feature_dim

    def example_rows(self, index: RegionIndex) -> np.ndarray:
        """None."""
        return np.zeros(0, dtype=np.int64)

    def fit(
        self,
        source: FeatureSource,
        rng: np.random.Generator,
        *,
        head: LinearHead | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learns nothing."""
        return self

    def refine(self, features: Tensor, boxes: Boxes, labels: Tensor) -> Boxes:
        """The unchanged boxes."""
        return boxes

    def every_class(self, features: Tensor, corners: Tensor) -> Tensor:
        """(N, K, 4): each box, unchanged, for each class."""
        return corners[:, None].expand(-1, self.num_classes, -1)

    def state(self) -> dict[str, Tensor]:
        """Empty."""
        return {}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Nothing to put back."""
