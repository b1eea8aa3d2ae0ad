"""The fine-tuned network's own classifier."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Self

from detkit.classifiers.base import Classifier
from detkit.progress import Progress
from detkit.regions.source import FeatureSource, LinearHead, head_of
from detkit.registry import CLASSIFIERS
from detkit.structures.state import checked_state


@CLASSIFIERS.register()
class Softmax(Classifier):
    """The class probabilities of the fine-tuned network; ``fit`` learns nothing.

    Source: R-CNN, appendix B (54.2 -> 50.9 mAP on VOC2007 against the SVMs).

    Args:
        num_classes: K.
        feature_dim: D, of the network's last layer.

    Example:
        >>> import numpy as np
        >>> import torch
        >>> from detkit.regions.source import LinearHead
        >>> from detkit.testing.example import example_source
        >>> head = LinearHead(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.zeros(2))  # the class, then the background
        >>> source = example_source()
        >>> softmax = Softmax(num_classes=1, feature_dim=2).fit(source, np.random.default_rng(0), head=head)
        >>> softmax.score(source.take(np.array([0])))
        tensor([[0.6900]])
    """

    score_kind = "probability"
    reads_features = False
    needs_head = "class"

    def __init__(self, *, num_classes: int, feature_dim: int) -> None:
        self.num_classes = num_classes
        self.feature_dim = feature_dim
        self.weight_ = torch.zeros(num_classes + 1, feature_dim)
        self.bias_ = torch.zeros(num_classes + 1)

    def fit(
        self,
        source: FeatureSource,
        rng: np.random.Generator,
        *,
        head: LinearHead | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Keeps the head of the network; source, rng and progress are not used.

        Raises:
            ConfigError: if the network has no head, or its head reads another layer.
        """
        remedy = "fine-tune it or use LinearSVM"
        shape = (self.num_classes + 1, self.feature_dim)
        own = head_of(head, shape, slot="CLASSIFIER", taker="Softmax", remedy=remedy)
        self.weight_, self.bias_ = own.weight.detach().clone(), own.bias.detach().clone()
        return self

    def score(self, features: Tensor) -> Tensor:
        """(N, K) float32 probabilities of (N, D) features; 1 - (sum of a row) is the probability of background."""
        return torch.softmax(features @ self.weight_.T + self.bias_, dim=1)[:, :-1]

    def linear(self) -> LinearHead:
        """The head: K+1 logits, background last."""
        return LinearHead(self.weight_, self.bias_)

    def state(self) -> dict[str, Tensor]:
        """Weight (K+1, D) and bias (K+1,), background last."""
        return {"weight": self.weight_, "bias": self.bias_}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restores what ``state`` returned."""
        rows = self.num_classes + 1
        loaded = checked_state("Softmax", state, {"weight": (rows, self.feature_dim), "bias": (rows,)})
        self.weight_, self.bias_ = loaded["weight"], loaded["bias"]
