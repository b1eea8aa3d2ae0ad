"""Bounding-box regression by gradient descent."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import torch
from typing_extensions import Self

from detkit.box_heads.descent import Descent
from detkit.box_heads.linear import LinearBoxHead
from detkit.config.ranges import Fraction, NonNegative, Positive
from detkit.progress import Progress
from detkit.regions.source import FeatureSource, LinearHead
from detkit.registry import BOX_HEADS


@BOX_HEADS.register()
class SGDLinear(LinearBoxHead):
    """One linear layer that learns the targets of ``Ridge`` by gradient descent; the backbone does not change.

    The loss is the mean squared error of the four outputs of each example's class. Training uses stochastic gradient
    descent with momentum; the learning rate falls to zero along half a cosine.

    Args:
        num_classes: K.
        feature_dim: D.
        epochs: passes over the examples.
        batch_size: examples of a step.
        lr: first learning rate; training may diverge above about 1 / target_norm^2.
        momentum: momentum of the gradient.
        weight_decay: weight of half the squared norm of the weights; biases do not decay.
        min_iou: a region is an example if its best IoU with a ground truth is above this.
        target_norm: mean norm that features are scaled to; 0 does not scale them.
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
        >>> head = SGDLinear(num_classes=1, feature_dim=2).fit(source, np.random.default_rng(0))
        >>> moved = head.refine(source.take(np.array([1])), source.index.boxes[[1]], torch.tensor([0]))
        >>> len(moved)
        1
    """

    def __init__(
        self,
        *,
        num_classes: int,
        feature_dim: int,
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
        self.descent = Descent(epochs, batch_size, lr, momentum, weight_decay)

    def fit(
        self,
        source: FeatureSource,
        rng: np.random.Generator,
        *,
        head: LinearHead | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learns all classes together; the generator orders the examples. Progress advances with the steps.

        Raises:
            ConfigError: if training diverged: a weight is nan or infinite.
        """
        examples = self.collect(source.index)
        held = self.read(source, examples)
        weight = torch.zeros(self.num_classes * 4, self.feature_dim, requires_grad=True)
        bias = torch.zeros(self.num_classes * 4, requires_grad=True)
        self.descent(
            lambda features: torch.nn.functional.linear(features, weight, bias),
            [weight],
            [bias],
            held,
            examples,
            rng,
            scale=self.scale_,
            name="SGDLinear",
            num_classes=self.num_classes,
            progress=progress,
        )
        self.weight_ = weight.detach().view(self.num_classes, 4, -1)
        self.bias_ = bias.detach().view(self.num_classes, 4)
        self.describe(examples, epochs=self.descent.epochs)
        return self
