"""The training of linear SVMs, one for each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from detkit.classifiers.examples import ExampleRules, draw_negatives, features_of_positives, halves, of_classes
from detkit.classifiers.folds import held_out, image_folds
from detkit.classifiers.hinge import HingeLoss, HingeSolver
from detkit.classifiers.mining import Miner, Mining, MiningRules, mine
from detkit.classifiers.row_pool import RowPool
from detkit.errors import DataError
from detkit.progress import Progress
from detkit.regions.held import HeldRows
from detkit.regions.source import FeatureSource, norm_sample

FOLD_PASSES = 2
"""Passes of the mining of folds: the first is for the models that it starts from, the second for those of each fold."""


@dataclass(frozen=True)
class Training:
    """How linear SVMs are trained; see the arguments of ``LinearSVM``.

    Args:
        num_classes: K.
        loss: the loss.
        target_norm: mean norm that features are scaled to; 0 does not scale them.
        examples: which regions are positives and negatives.
        negatives: "mined" or "random".
        tol: stopping tolerance of the solver.
        max_iter: maximal number of sweeps of the solver.
        rules: constants of the mining.
        passes: number of passes of the mining.
    """

    num_classes: int
    loss: HingeLoss
    target_norm: float
    examples: ExampleRules
    negatives: Literal["mined", "random"]
    tol: float
    max_iter: int
    rules: MiningRules
    passes: int

    def solvers(self, rng: np.random.Generator) -> list[HingeSolver]:
        """A solver for each class."""
        seeds = rng.integers(2**31, size=self.num_classes)
        return [HingeSolver(self.loss, tol=self.tol, max_iter=self.max_iter, seed=int(seed)) for seed in seeds]

    def miners(
        self, positives: Sequence[Tensor], solvers: Sequence[HingeSolver], scale: float, pool: RowPool
    ) -> list[Miner]:
        """A miner for each class, of the (P, D) features of its positives."""
        return [
            Miner(own, solver, scale=scale, rules=self.rules, pool=pool)
            for own, solver in zip(positives, solvers, strict=True)
        ]

    def finish(self, source: FeatureSource, mining: Mining, rng: np.random.Generator) -> Sequence[Miner]:
        """The miners with the final models, after mining.

        With ``negatives`` "random", each class is trained once more: on as many negatives drawn at random as its last
        training of mining had. None of them is evicted.
        """
        if self.negatives == "mined":
            return mining.miners
        rules = replace(self.rules, evict_below=-float("inf"))
        drawn = draw_negatives(source.index, mining.negatives, [miner.num_learnt for miner in mining.miners], rng)
        held, pool = HeldRows(source, np.unique(np.concatenate(drawn))), RowPool()
        others = [Miner(m.positives, m.train, scale=m.scale, rules=rules, pool=pool) for m in mining.miners]
        for miner, rows in zip(others, drawn, strict=True):
            miner.learn(rows, halves(held, rows))
        return others


@dataclass(frozen=True, eq=False)
class TrainedSVMs:
    """Linear SVMs after a training.

    Args:
        training: how they were trained.
        miners: K miners with the models.
        solvers: K solvers of the mining.
        rows: (P,) index rows of the positives.
        labels: (P,) their classes.
    """

    training: Training
    miners: Sequence[Miner]
    solvers: Sequence[HingeSolver]
    rows: np.ndarray
    labels: np.ndarray

    @property
    def scale(self) -> float:
        """Factor on features."""
        return self.miners[0].scale

    def models(self) -> tuple[Tensor, Tensor]:
        """Weight (K, D) and bias (K,) for scaled features."""
        return models_of(self.miners)

    def report(self, source: FeatureSource, folds: int, rng: np.random.Generator) -> dict[str, object]:
        """What each class learnt from; with ``folds``, also how models without a fold do on it."""
        index, miners = source.index, self.miners
        report: dict[str, object] = {
            "scale": self.scale,
            "positives": [len(m.positives) for m in miners],
            "cached_negatives": [len(m.rows) for m in miners],
            "trainings": [len(m.objectives) for m in miners],
            "objective": [m.objectives[-1] if m.objectives else None for m in miners],
            "mining": [{"objectives": m.objectives, "num_negatives": m.num_negatives} for m in miners],
            "hardest_negatives": [m.hardest(index) for m in miners],
            "unconverged_trainings": [solver.unconverged for solver in self.solvers],
            "never_fires": [k for k, m in enumerate(miners) if not m.objectives],
            **asdict(self.training.examples),
            "negatives": self.training.negatives,
        }
        if folds:
            fold = image_folds(index.num_images, folds, rng)[index.image]
            used = [np.concatenate([self.rows[self.labels == k], m.rows]) for k, m in enumerate(miners)]
            report["held_out"] = [held_out(m, fold[own]) for m, own in zip(miners, used, strict=True)]
        return report


def models_of(miners: Sequence[Miner]) -> tuple[Tensor, Tensor]:
    """Weight (M, D) and bias (M,) of miners."""
    return torch.stack([m.weight for m in miners]), torch.tensor([m.bias for m in miners])


def train(
    trainings: Sequence[Training],
    source: FeatureSource,
    rngs: Sequence[np.random.Generator],
    progress: Progress | None = None,
) -> list[TrainedSVMs]:
    """Trains in several ways. One sweep reads samples and positives of all; each pass of mining serves all.

    Each result is that of a training alone.

    Args:
        trainings: the ways, with the same classes.
        source: the features.
        rngs: for each training its randomness.
        progress: updated after each image of each pass.

    Raises:
        DataError: if the split has no ground truth, if a feature is nan or infinite, or if one of a positive is
            beyond float16's range (65504).
    """
    index = source.index
    if not (index.truth_label >= 0).any():
        raise DataError(f"LinearSVM: none of the {index.num_images} training images has a ground truth to learn from")
    found = {one.examples.positive_iou: one.examples.positives(index) for one in trainings}
    samples = [
        norm_sample(index, rng) if one.target_norm else np.zeros(0, np.int64)
        for one, rng in zip(trainings, rngs, strict=True)
    ]
    solvers = [one.solvers(rng) for one, rng in zip(trainings, rngs)]
    minings = _prepared(trainings, source, found, samples, solvers)
    mine(source, minings, progress=progress)
    return [
        TrainedSVMs(one, one.finish(source, mining, rng), own, *found[one.examples.positive_iou])
        for one, mining, own, rng in zip(trainings, minings, solvers, rngs)
    ]


def _prepared(
    trainings: Sequence[Training],
    source: FeatureSource,
    found: Mapping[float | None, tuple[np.ndarray, np.ndarray]],
    samples: Sequence[np.ndarray],
    solvers: Sequence[Sequence[HingeSolver]],
) -> list[Mining]:
    """A mining for each training. Trainings with the same positives share them, and all share the cache.

    Args:
        trainings: the trainings.
        source: the features.
        found: (P,) rows and classes of the positives, by ``positive_iou``.
        samples: for each training the rows of which the mean norm is taken.
        solvers: for each training one for each class.
    """
    held = HeldRows(source, np.unique(np.concatenate([*samples, *(rows for rows, _ in found.values())])))
    positives = {
        iou: of_classes(features_of_positives(held, rows, iou), labels, trainings[0].num_classes)
        for iou, (rows, labels) in found.items()
    }
    pool, minings = RowPool(), []
    for one, own, sample in zip(trainings, solvers, samples):
        scale = one.target_norm / held.mean_norm_of(sample) if one.target_norm else 1.0
        miners = one.miners(positives[one.examples.positive_iou], own, float(torch.tensor(scale)), pool)
        minings.append(Mining(miners, one.examples.negatives(source.index), one.passes))
    return minings


def train_folds(
    training: Training,
    models: tuple[Tensor, Tensor, float],
    source: FeatureSource,
    fold: np.ndarray,
    rng: np.random.Generator,
    progress: Progress | None = None,
) -> list[tuple[Tensor, Tensor]]:
    """For each fold models that have not learnt from its images; all folds are mined together.

    Args:
        training: how to train.
        models: weight (K, D), bias (K,) and scale of models that have learnt from all images; mining starts from them.
        source: the features.
        fold: (num_images,) fold of each image.
        rng: the only randomness.
        progress: updated after each image of each pass.

    Returns:
        Weight (K, D) and bias (K,) of each fold.
    """
    weight, bias, scale = models
    index, num_classes = source.index, training.num_classes
    rows, classes = training.examples.positives(index)
    positives, own_fold = halves(HeldRows(source, rows), rows), fold[index.image[rows]]
    numbers = range(int(fold.max(initial=-1)) + 1)
    pool, miners = RowPool(), list[Miner]()
    for number in numbers:
        labels = np.where(own_fold == number, -1, classes)
        miners += training.miners(of_classes(positives, labels, num_classes), training.solvers(rng), scale, pool)
    for miner, own_weight, own_bias in zip(miners, weight.repeat(len(numbers), 1), bias.repeat(len(numbers))):
        if len(miner.positives):
            miner.weight, miner.bias = own_weight, float(own_bias)
    every = training.examples.negatives(index)

    def negatives(image: int) -> Tensor:
        is_seen = torch.tensor([number != fold[image] for number in numbers]).repeat_interleave(num_classes)
        return every(image).repeat(1, len(numbers)) & is_seen

    mining = Mining(miners, negatives, passes=FOLD_PASSES)
    mine(source, [mining], progress=progress)
    finished = training.finish(source, mining, rng)
    return [models_of(finished[number * num_classes :][:num_classes]) for number in numbers]
