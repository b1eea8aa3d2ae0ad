"""The box head of a network that was trained to predict boxes."""

from __future__ import annotations

import numpy as np
from typing_extensions import Self

from detkit.box_heads.linear import ClassLinear
from detkit.progress import Progress
from detkit.regions.index import RegionIndex
from detkit.regions.source import FeatureSource, LinearHead, head_of
from detkit.registry import BOX_HEADS


@BOX_HEADS.register()
class TunedBoxes(ClassLinear):
    """The box head that the network was tuned with; ``fit`` learns nothing.

    Source: Fast R-CNN, section 2.3 (sibling layers).

    Args:
        num_classes: K.
        feature_dim: D, of the network's last layer.

    Example:
        >>> import numpy as np
        >>> import torch
        >>> from detkit.regions.source import LinearHead
        >>> from detkit.testing.example import example_source
        >>> source = example_source()
        >>> tuned = LinearHead(torch.zeros(4, 2), torch.zeros(4))  # moves nothing
        >>> head = TunedBoxes(num_classes=1, feature_dim=2).fit(source, np.random.default_rng(0), head=tuned)
        >>> head.refine(source.take(np.array([1])), source.index.boxes[[1]], torch.tensor([0])).tensor.tolist()
        [[12.0, 8.0, 64.0, 60.0]]
    """

    learns_from_features = False
    needs_head = "box"

    def __init__(self, *, num_classes: int, feature_dim: int) -> None:
        super().__init__(num_classes, feature_dim, inclusive=False)

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
        """Keeps the head of the network, (4K, D) with four rows a class; source, rng and progress are not used.

        Raises:
            ConfigError: if the network has no box head, or its head reads another layer.
        """
        remedy = "train it with an objective that leaves a head of boxes, or use Ridge"
        shape = (4 * self.num_classes, self.feature_dim)
        own = head_of(head, shape, slot="BOX_HEAD", taker="TunedBoxes", remedy=remedy)
        self.weight_ = own.weight.detach().clone().view(self.num_classes, 4, self.feature_dim)
        self.bias_ = own.bias.detach().clone().view(self.num_classes, 4)
        return self
