"""Hard negative mining."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from detkit.progress import Progress
from detkit.regions.source import FeatureSource

Trainer = Callable[[np.ndarray, int], tuple[np.ndarray, float, float]]
"""((n, D) float64 scaled examples, how many of them, the first ones, are positives) -> weight (D,), bias, objective."""


@dataclass(frozen=True)
class MiningRules:
    """When a region is a hard negative and when a model is trained again.

    Source: R-CNN, appendix B; rcnn_train.m for the constants.

    Args:
        retrain_after: train when more negatives than this were added since the last training.
        hard_margin: a negative is hard when its margin is above this.
        evict_below: after each training, negatives with a margin below this leave the cache.
    """

    retrain_after: int = 2000
    hard_margin: float = -1.0001
    evict_below: float = -1.2


class Miner:
    """One class's positives, its cache of hard negatives and its current model.

    The cache is float16, which loses nothing: sources round to it.

    Args:
        positives: (P, D) features; they never leave. Without any, the miner never trains.
        train: fits a model.
        scale: factor on features, in training and in ``margins``.
        rules: constants of the mining.

    Attributes:
        weight: (D,) float32, for scaled features.
        bias: -inf before the first training, so that nothing fires.
        rows: (n,) int64 index rows of the cached negatives, in the order in which they came.
        objectives: the objective's value after each training, on the cache of that moment.
    """

    def __init__(
        self, positives: Tensor, train: Trainer, *, scale: float = 1.0, rules: MiningRules | None = None
    ) -> None:
        self.positives = positives.half()
        self.train = train
        self.scale = scale
        self.rules = rules or MiningRules()
        self.weight = torch.zeros(positives.shape[1])
        self.bias = -float("inf")
        self.rows = np.zeros(0, dtype=np.int64)
        self.objectives: list[float] = []
        self._cached: list[Tensor] = []
        self._added = 0

    def see(self, rows: np.ndarray, features: Tensor, margins: Tensor, *, is_last: bool = False) -> None:
        """Caches the hard ones among an image's negatives and trains when it is time.

        Args:
            rows: (n,) index rows of the negatives.
            features: (n, D) their features.
            margins: (n,) their margins under the current model; without a model every negative is hard.
            is_last: whether this is the last image, after which training is forced.
        """
        if len(self.positives) == 0:
            return
        is_new = torch.from_numpy(~np.isin(rows, self.rows))
        hard = is_new & (margins > self.rules.hard_margin) if self.objectives else is_new
        if hard.any():
            self.rows = np.concatenate([self.rows, rows[hard.numpy()]])
            self._cached.append(features[hard].half())
            self._added += int(hard.sum())
        if is_last or not self.objectives or self._added > self.rules.retrain_after:
            self._retrain()

    def examples(self) -> Tensor:
        """(P + n, D) float64 scaled positives and cached negatives, converted part by part to spare memory."""
        examples = torch.empty(len(self.positives) + len(self.rows), self.positives.shape[1], dtype=torch.float64)
        start = 0
        for part in (self.positives, *self._cached):
            examples[start : start + len(part)] = part
            start += len(part)
        return examples.mul_(self.scale)

    def _retrain(self) -> None:
        """Trains on the positives and the cache, then evicts easy negatives; nothing to do before any negative came."""
        if len(self.rows) == 0:
            return
        examples = self.examples()
        num_positives = len(self.positives)
        weight, self.bias, objective = self.train(examples.numpy(), num_positives)
        keep = examples[num_positives:] @ torch.from_numpy(weight) + self.bias >= self.rules.evict_below
        self.weight = torch.from_numpy(weight).float()
        self.rows, self._added = self.rows[keep.numpy()], 0
        counts = [len(part) for part in self._cached]
        kept = [part[own] for part, own in zip(self._cached, keep.split(counts), strict=True)]
        self._cached = [part for part in kept if len(part)]
        self.objectives.append(objective)


def mine(
    source: FeatureSource,
    miners: Sequence[Miner],
    negatives: Callable[[int], Tensor],
    *,
    passes: int = 1,
    progress: Progress | None = None,
) -> None:
    """Feeds every miner with the regions of every image, in list order; one product scores them all.

    A miner takes all negatives of the first image that has any and is trained then, again whenever it has gathered
    enough hard ones, and at the end of every pass. Miners may be of several classes and of several settings.
    Source: R-CNN, appendix B; rcnn_train.m.

    Args:
        source: the features.
        miners: M miners; they are changed in place.
        negatives: image -> (n, M) bool: which of the image's rows each miner may learn from as negatives.
        passes: how often the images are gone through; the paper finds one enough.
        progress: told of each image of each pass.
    """
    last = int(np.count_nonzero(np.diff(source.index.offsets))) - 1
    for _ in range(passes):
        for position, (image, features) in enumerate(source.blocks()):
            margins = features @ torch.stack([m.weight * m.scale for m in miners]).T
            margins += torch.tensor([m.bias for m in miners])
            allowed = negatives(image)
            for column, miner in enumerate(miners):
                own = allowed[:, column].nonzero()[:, 0]
                rows = source.index.rows(image).start + own.numpy()
                miner.see(rows, features[own], margins[own, column], is_last=position == last)
            if progress is not None:
                progress.update()
