"""Hard negative mining."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
import torch
from torch import Tensor

from detkit.classifiers.row_pool import RowPool
from detkit.errors import DataError
from detkit.progress import Progress
from detkit.regions.index import RegionIndex
from detkit.regions.source import FeatureSource

HARDEST = 12
"""Hard negatives of each class that the report names."""

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

    Memory: the cache holds at most what the last training left, ``retrain_after`` regions more and those of one image.
    Their features lie in the pool, once for all miners that share it. A training takes 8 D bytes for each example, and
    liblinear another 16 for each number that is not 0, since scikit-learn trains in double precision only. One miner
    trains at a time.

    Args:
        positives: (P, D) features, which take part in every training. Without any, the miner never trains.
        train: fits a model to (n, D) examples, positives first, and their number of positives.
        scale: factor on features, in training and in ``margins``.
        rules: constants of the mining.
        pool: holds the cached features; None makes a pool for this miner alone.

    Attributes:
        weight: (D,) float32, for scaled features; set it and ``bias`` to start mining from an existing model.
        bias: -inf while there is no model, so that no region is found.
        objectives: the value of the objective after each training, on the cache at that time.
        num_negatives: number of negatives in each training, before the eviction that follows it.
        margins: (n,) float64 margins of ``rows`` under the model of the last training.
    """

    def __init__(
        self,
        positives: Tensor,
        train: Trainer,
        *,
        scale: float = 1.0,
        rules: MiningRules | None = None,
        pool: RowPool | None = None,
    ) -> None:
        self.positives = positives.half()
        self.train = train
        self.scale = scale
        self.rules = rules or MiningRules()
        self.weight = torch.zeros(positives.shape[1])
        self.bias = -float("inf")
        self.objectives: list[float] = []
        self.num_negatives: list[int] = []
        self.margins = np.zeros(0)
        self._pool = RowPool() if pool is None else pool
        self._cache: dict[int, None] = {}
        self._added = 0

    @property
    def rows(self) -> np.ndarray:
        """(n,) int64 index rows of the cached negatives, in the order in which they came."""
        return np.fromiter(self._cache, np.int64, len(self._cache))

    @property
    def num_learnt(self) -> int:
        """Number of negatives in the last training."""
        return self.num_negatives[-1] if self.num_negatives else 0

    @property
    def has_model(self) -> bool:
        """Whether there is a model, which tells hard negatives from easy ones."""
        return self.bias > -float("inf")

    def see(
        self, start: int, features: Tensor, negatives: np.ndarray, margins: np.ndarray, *, is_last: bool = False
    ) -> None:
        """Caches the hard negatives of an image that are not cached yet, and trains if enough are new.

        Args:
            start: index row of the image's first region.
            features: (n, D) of all its regions.
            negatives: (m,) index rows of its negatives.
            margins: (m,) their margins under the current model. Without a model every negative is hard.
            is_last: whether this is the last image of a pass, after which the model is trained in any case.
        """
        if len(self.positives) == 0:
            return
        hard = negatives[margins > self.rules.hard_margin] if self.has_model else negatives
        new = [row for row in hard.tolist() if row not in self._cache]
        self._keep(new, [features[row - start] for row in new])
        if is_last or not self.has_model or self._added > self.rules.retrain_after:
            self._retrain()

    def learn(self, rows: np.ndarray, features: Tensor) -> None:
        """Caches these negatives, for any margins, and trains.

        Args:
            rows: (n,) index rows that are not cached.
            features: (n, D) features of these rows.
        """
        if len(self.positives):
            self._keep(rows.tolist(), features)
            self._retrain()

    def examples(self) -> Tensor:
        """(P + n, D) float64 scaled positives and cached negatives, converted row by row to spare memory."""
        num_positives = len(self.positives)
        examples = torch.empty(num_positives + len(self._cache), self.positives.shape[1], dtype=torch.float64)
        examples[:num_positives] = self.positives
        for at, row in enumerate(self._cache, num_positives):
            examples[at] = self._pool[row]
        return examples.mul_(self.scale)

    def hardest(self, index: RegionIndex) -> list[dict[str, object]]:
        """The ``HARDEST`` cached negatives of the highest margins, each with its image, its box and its margin."""
        order = np.argsort(-self.margins, kind="stable")[:HARDEST]
        rows, margins = self.rows[order], self.margins[order]
        return [
            {"image_id": index.samples[index.image[row]].image_id, "box": box, "margin": margin}
            for row, box, margin in zip(rows.tolist(), index.boxes[rows].tensor.tolist(), margins.tolist())
        ]

    def _keep(self, rows: Sequence[int], features: Iterable[Tensor]) -> None:
        for row, own in zip(rows, features):
            self._cache[row] = None
            self._pool.keep(row, own)
        self._added += len(rows)

    def _retrain(self) -> None:
        """Trains on the positives and the cache, then evicts easy negatives; nothing to do before any negative came."""
        if not self._cache:
            return
        examples = self.examples()
        num_positives = len(self.positives)
        weight, self.bias, objective = self.train(examples.numpy(), num_positives)
        margins = examples[num_positives:] @ torch.from_numpy(weight) + self.bias
        keep = margins >= self.rules.evict_below
        self.weight = torch.from_numpy(weight).float()
        self._pool.release(compress(self._cache, (~keep).tolist()))
        self._cache = dict.fromkeys(compress(self._cache, keep.tolist()))
        self.margins = margins[keep].numpy()
        self._added = 0
        self.objectives.append(objective)
        self.num_negatives.append(len(examples) - num_positives)


@dataclass(frozen=True, eq=False)
class Mining:
    """Miners that mine together, such as those of all classes.

    Args:
        miners: M miners, of any classes and settings; ``mine`` changes them in place.
        negatives: image -> (n, M) bool: which of the image's rows each miner may learn from as negatives.
        passes: number of passes over the images; the paper finds one enough.
    """

    miners: Sequence[Miner]
    negatives: Callable[[int], Tensor]
    passes: int = 1

    def see(self, index: RegionIndex, image: int, features: Tensor, *, is_last: bool) -> None:
        """Gives every miner the (n, D) features of all regions of an image; see ``Miner.see``.

        Raises:
            DataError: if a feature is nan or infinite.
        """
        margins = features @ torch.stack([m.weight * m.scale for m in self.miners]).T
        if not bool(margins.isfinite().all()):  # 0 times nan is nan, so that models without a training see it, too
            raise DataError(f"mining: image {index.samples[image].image_id} has features that are no numbers")
        margins += torch.tensor([m.bias for m in self.miners])
        start = index.rows(image).start
        for miner, allowed, own in zip(self.miners, self.negatives(image).numpy().T, margins.numpy().T, strict=True):
            at = np.flatnonzero(allowed)
            miner.see(start, features, start + at, own[at], is_last=is_last)


def mine(source: FeatureSource, minings: Sequence[Mining], *, progress: Progress | None = None) -> None:
    """Gives all miners the regions of every image, in list order. Features are read once a pass, for all minings.

    A miner takes all negatives of the first image that has any, and trains. It trains again whenever it has gathered
    enough hard negatives, and at the end of every pass. Each mining gives the same miners as if it were the only one.
    Source: R-CNN, appendix B; rcnn_train.m.

    Args:
        source: the features.
        minings: for example one for each of several settings; one with fewer passes takes part in the first ones.
        progress: updated after each image of each pass.

    Raises:
        DataError: if a feature is nan or infinite.
    """
    last = int(np.count_nonzero(np.diff(source.index.offsets))) - 1
    for number in range(max(mining.passes for mining in minings)):
        for position, (image, features) in enumerate(source.blocks()):
            for mining in minings:
                if number < mining.passes:
                    mining.see(source.index, image, features, is_last=position == last)
            if progress is not None:
                progress.update()
