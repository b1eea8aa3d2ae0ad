"""Bounding-box regression by a small neural network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from typing_extensions import Self

from detkit.box_heads.descent import Descent
from detkit.box_heads.linear import LinearBoxHead
from detkit.config.ranges import Fraction, NonNegative, Positive
from detkit.progress import Progress
from detkit.regions.source import FeatureSource, LinearHead
from detkit.registry import BOX_HEADS
from detkit.structures.state import checked_state

SAME = 1e-6
"""Deviation below which targets count as equal."""


@BOX_HEADS.register()
class MLP(LinearBoxHead):
    """A box head with one hidden layer of ReLU units, which all classes share; it learns the targets of ``Ridge``.

    Each class has four linear outputs on the hidden units. The network learns normalised targets: minus the mean of the
    class, divided by the standard deviation over all classes. Use it to compare with the linear regression of R-CNN
    (appendix C).

    Args:
        num_classes: K.
        feature_dim: D.
        hidden_dim: units of the hidden layer.
        epochs: passes over the examples.
        batch_size: examples of a step.
        lr: first learning rate; training may diverge above about 1 / target_norm^2.
        momentum: momentum of the gradient.
        weight_decay: weight of half the squared norm of the weights; biases do not decay.
        min_iou: a region is an example if its best IoU with a ground truth is above this.
        target_norm: mean norm that features are scaled to; 0 does not scale them.
        widths: how the width of a box is measured: "exclusive" is its number of pixels; "inclusive" is one less, as in
            the paper's code.
        coder: what is learnt: "log", "relative" or "pixels"; see ``Ridge``.

    Example:
        >>> import numpy as np
        >>> import torch
        >>> from detkit.testing.example import example_source
        >>> source = example_source()
        >>> head = MLP(num_classes=1, feature_dim=2, epochs=2).fit(source, np.random.default_rng(0))
        >>> moved = head.refine(source.take(np.array([1])), source.index.boxes[[1]], torch.tensor([0]))
        >>> len(moved)
        1
    """

    def __init__(
        self,
        *,
        num_classes: int,
        feature_dim: int,
        hidden_dim: Annotated[int, Positive] = 256,
        epochs: Annotated[int, Positive] = 20,
        batch_size: Annotated[int, Positive] = 256,
        lr: Annotated[float, Positive] = 1e-3,
        momentum: Annotated[float, Fraction] = 0.9,
        weight_decay: Annotated[float, NonNegative] = 0.1,
        min_iou: Annotated[float, Fraction] = 0.6,
        target_norm: Annotated[float, NonNegative] = 20.0,
        widths: Literal["exclusive", "inclusive"] = "exclusive",
        coder: Literal["log", "relative", "pixels"] = "log",
    ) -> None:
        super().__init__(num_classes, feature_dim, min_iou, target_norm, widths == "inclusive", coder)
        self.hidden_dim = hidden_dim
        self.descent = Descent(epochs, batch_size, lr, momentum, weight_decay)
        self.weight_ = torch.zeros(num_classes, 4, hidden_dim)
        self.hidden_weight_ = torch.zeros(hidden_dim, feature_dim)
        self.hidden_bias_ = torch.zeros(hidden_dim)

    def fit(
        self,
        source: FeatureSource,
        rng: np.random.Generator,
        *,
        head: LinearHead | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learns all classes together; the generator draws the first weights and orders the examples.

        Raises:
            ConfigError: if training diverged: a weight is nan or infinite.
        """
        examples = self.collect(source.index)
        held = self.read(source, examples)
        mean, std = self._statistics(examples.labels, examples.targets)
        levelled = replace(examples, targets=(examples.targets - mean[examples.labels]) / std)
        hidden, hidden_bias = self._first_weights(rng), torch.zeros(self.hidden_dim, requires_grad=True)
        # Outputs of zeros: a class without examples stays at them, so that its boxes are not moved.
        weight = torch.zeros(self.num_classes * 4, self.hidden_dim, requires_grad=True)
        bias = torch.zeros(self.num_classes * 4, requires_grad=True)
        self.descent(
            lambda features: F.linear(F.relu(F.linear(features, hidden, hidden_bias)), weight, bias),
            [hidden, weight],
            [hidden_bias, bias],
            held,
            levelled,
            rng,
            scale=self.scale_,
            name="MLP",
            num_classes=self.num_classes,
            progress=progress,
        )
        self.hidden_weight_, self.hidden_bias_ = hidden.detach(), hidden_bias.detach()
        self.weight_ = weight.detach().view(self.num_classes, 4, -1) * std.float()[:, None]
        self.bias_ = bias.detach().view(self.num_classes, 4) * std.float() + mean.float()
        self.describe(examples, epochs=self.descent.epochs, hidden_dim=self.hidden_dim)
        return self

    def inputs(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The (N, H) hidden units of (N, D) features, and a scale of 1."""
        return F.relu(F.linear(features, self.hidden_weight_ * self.scale_, self.hidden_bias_)), torch.ones(())

    def _first_weights(self, rng: np.random.Generator) -> Tensor:
        """(H, D) Gaussian weights that keep the norm of what they are applied to. Source: He et al., 2015."""
        drawn = torch.Generator().manual_seed(int(rng.integers(2**31)))
        weights = torch.randn(self.hidden_dim, self.feature_dim, generator=drawn)
        return (weights * (2 / self.hidden_dim) ** 0.5).requires_grad_()

    def _statistics(self, labels: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The (K, 4) means of each class, 0 without examples, and the (4,) deviations from these."""
        mean = torch.zeros(self.num_classes, 4, dtype=torch.float64)
        for k in labels.unique().tolist():
            mean[k] = targets[labels == k].mean(0)
        std = (targets - mean[labels]).square().sum(0).div(max(len(labels), 1)).sqrt()
        return mean, torch.where(std < SAME, 1.0, std)

    def state(self) -> dict[str, Tensor]:
        """Hidden weight (H, D) and bias (H,) for scaled features, weight (K, 4, H), bias (K, 4), and the scale ()."""
        return {**super().state(), "hidden_weight": self.hidden_weight_, "hidden_bias": self.hidden_bias_}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restores what ``state`` returned."""
        units, classes = self.hidden_dim, self.num_classes
        shapes = {"hidden_weight": (units, self.feature_dim), "hidden_bias": (units,)}
        shapes |= {"weight": (classes, 4, units), "bias": (classes, 4), "scale": ()}
        loaded = checked_state("MLP", state, shapes)
        self.hidden_weight_, self.hidden_bias_ = loaded["hidden_weight"], loaded["hidden_bias"]
        self.weight_, self.bias_, self.scale_ = loaded["weight"], loaded["bias"], loaded["scale"]
