"""Bounding-box regression by gradient descent."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Self

from detkit.box_heads.examples import BoxExamples
from detkit.box_heads.linear import LinearBoxHead
from detkit.config.ranges import Fraction, NonNegative, Positive
from detkit.errors import ConfigError
from detkit.progress import Progress
from detkit.regions.source import FeatureSource, LinearHead
from detkit.registry import BOX_HEADS

POOL = 16384
"""Examples whose features are held at once; more are read pool by pool."""


@BOX_HEADS.register()
class SGDLinear(LinearBoxHead):
    """The targets of ``Ridge`` learnt by one linear layer with the mean squared error; the backbone does not change.

    An example's error is that of the four outputs of its class. Stochastic gradient descent with momentum, the rate
    falling to zero along half a cosine.

    Args:
        num_classes: K.
        feature_dim: D.
        epochs: passes over the examples.
        batch_size: examples of a step.
        lr: first learning rate; above about 1 / target_norm^2 it may diverge.
        momentum: of the gradient.
        weight_decay: weight of half the squared norm of the weights; biases are free.
        min_iou: a region is an example when its best IoU with a ground truth is above this.
        target_norm: mean norm that features are scaled to; 0 leaves them as they are.
        widths: "exclusive" counts every pixel of a box; "inclusive" is one less, as in the paper's code.
        coder: what is learnt. "log": shift of the centre in sides of the box, log of the change of its sides, as the
            paper does; "relative": the change of a side in sides, Gw / Pw - 1, instead of its log; "pixels": plain
            differences of centres and sides in pixels.
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
        self.epochs, self.batch_size = epochs, batch_size
        self.lr, self.momentum, self.weight_decay = lr, momentum, weight_decay

    def fit(
        self,
        source: FeatureSource,
        rng: np.random.Generator,
        *,
        head: LinearHead | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learns all classes together; the generator orders the examples. Progress moves on with the steps.

        Raises:
            ConfigError: the error grew without bound.
        """
        examples = self.collect(source.index)
        held = self.read(source, examples)
        weight = torch.zeros(self.num_classes * 4, self.feature_dim, requires_grad=True)
        bias = torch.zeros(self.num_classes * 4, requires_grad=True)
        groups: list[dict[str, Any]] = [{"params": [weight], "weight_decay": self.weight_decay}, {"params": [bias]}]
        optimizer = torch.optim.SGD(groups, self.lr, self.momentum)
        steps = self.epochs * sum(-(-len(pool) // self.batch_size) for pool in _split(np.arange(len(examples)), POOL))
        for step, (features, labels, targets) in enumerate(self._batches(held, examples, rng)):
            for group in optimizer.param_groups:
                group["lr"] = self.lr * (1 + math.cos(math.pi * step / steps)) / 2
            outputs = torch.nn.functional.linear(features, weight, bias).view(len(features), -1, 4)
            loss = (outputs[torch.arange(len(labels)), labels] - targets).square().sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if progress is not None:
                progress.update(self.num_classes * (step + 1) // steps - self.num_classes * step // steps)
        if not bool(torch.isfinite(weight).all()):
            raise ConfigError(f"SGDLinear: learning diverged with LR {self.lr} and MOMENTUM {self.momentum}; lower LR")
        self.weight_ = weight.detach().view(self.num_classes, 4, -1)
        self.bias_ = bias.detach().view(self.num_classes, 4)
        self.describe(examples, epochs=self.epochs)
        return self

    def _batches(
        self, source: FeatureSource, examples: BoxExamples, rng: np.random.Generator
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """(features, labels, targets) of each step of every epoch."""
        image = source.index.image[examples.rows]
        order = np.arange(len(examples))
        held: Tensor | None = None
        for _ in range(self.epochs):
            if len(order) > POOL:
                # Whole images follow each other, so that an epoch reads every image once.
                order = np.argsort(rng.permutation(source.index.num_images)[image], kind="stable")
            for pool in _split(order, POOL):
                if held is None or len(order) > POOL:
                    held = source.take(examples.rows[pool]).half()
                for batch in _split(rng.permutation(len(pool)), self.batch_size):
                    own = torch.from_numpy(pool[batch])
                    features = held[torch.from_numpy(batch)].float() * self.scale_
                    yield features, examples.labels[own], examples.targets[own].float()


def _split(values: np.ndarray, size: int) -> list[np.ndarray]:
    """Consecutive parts of at most ``size``; none of an empty array."""
    return [values[start : start + size] for start in range(0, len(values), size)]
