"""Gradient descent on regression targets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detkit.box_heads.examples import BoxExamples
from detkit.errors import ConfigError
from detkit.progress import Progress
from detkit.regions.source import FeatureSource

POOL = 16384
"""Examples whose features are held at once; more are read pool by pool."""


@dataclass(frozen=True)
class Descent:
    """Stochastic gradient descent with momentum on the mean squared error. The rate falls along half a cosine.

    The error of an example is that of the four outputs of its class.

    Args:
        epochs: passes over the examples.
        batch_size: examples of a step.
        lr: first learning rate.
        momentum: momentum of the gradient.
        weight_decay: weight of half the squared norm of the weights; biases do not decay.
    """

    epochs: int
    batch_size: int
    lr: float
    momentum: float
    weight_decay: float

    def __call__(
        self,
        outputs: Callable[[Tensor], Tensor],
        weights: Sequence[Tensor],
        biases: Sequence[Tensor],
        source: FeatureSource,
        examples: BoxExamples,
        rng: np.random.Generator,
        *,
        scale: Tensor,
        name: str,
        num_classes: int,
        progress: Progress | None = None,
    ) -> None:
        """Learns the weights and biases in place.

        Args:
            outputs: (B, D) scaled features -> (B, 4 K), differentiable in weights and biases.
            weights: tensors that decay.
            biases: tensors that do not.
            source: features of the examples.
            examples: what is learnt from.
            rng: orders the examples.
            scale: factor on features.
            name: name of the box head, for the message.
            num_classes: K, the number of units by which progress advances over all steps.
            progress: updated as the steps advance.

        Raises:
            ConfigError: if training diverged: a weight is nan or infinite.
        """
        groups: list[dict[str, Any]] = [
            {"params": list(weights), "weight_decay": self.weight_decay},
            {"params": list(biases)},
        ]
        optimizer = torch.optim.SGD(groups, self.lr, self.momentum)
        pools = _split(np.arange(len(examples)), POOL)
        steps = self.epochs * sum(-(-len(pool) // self.batch_size) for pool in pools)
        for step, (features, labels, targets) in enumerate(self._batches(source, examples, rng, scale)):
            for group in optimizer.param_groups:
                group["lr"] = self.lr * (1 + math.cos(math.pi * step / steps)) / 2
            moves = outputs(features).view(len(features), -1, 4)
            loss = (moves[torch.arange(len(labels)), labels] - targets).square().sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if progress is not None:
                progress.update(num_classes * (step + 1) // steps - num_classes * step // steps)
        if not all(bool(torch.isfinite(weight).all()) for weight in weights):
            raise ConfigError(f"{name}: learning diverged with LR {self.lr} and MOMENTUM {self.momentum}; lower LR")

    def _batches(
        self, source: FeatureSource, examples: BoxExamples, rng: np.random.Generator, scale: Tensor
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
                    features = held[torch.from_numpy(batch)].float() * scale
                    yield features, examples.labels[own], examples.targets[own].float()


def _split(values: np.ndarray, size: int) -> list[np.ndarray]:
    """Consecutive parts of at most ``size``; none of an empty array."""
    return [values[start : start + size] for start in range(0, len(values), size)]
