"""The paper's region classifier."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Self

from detkit.classifiers.base import Classifier
from detkit.classifiers.folds import held_out, image_folds
from detkit.classifiers.hinge import HingeLoss, HingeSolver
from detkit.classifiers.mining import Miner, MiningRules, mine
from detkit.classifiers.row_pool import RowPool
from detkit.config.ranges import Fraction, NonNegative, Positive
from detkit.errors import ConfigError, DataError
from detkit.progress import Progress
from detkit.regions.held import HeldRows
from detkit.regions.index import RegionIndex
from detkit.regions.label import svm_labels
from detkit.regions.source import FeatureSource, LinearHead, norm_sample
from detkit.registry import CLASSIFIERS
from detkit.structures.state import checked_state


@CLASSIFIERS.register()
class LinearSVM(Classifier):
    """One linear SVM per class: ground truths against mined hard negatives.

    Features are multiplied by ``target_norm`` / (mean norm of a sample of the training regions); the constants of
    the loss mean nothing without that.
    Source: R-CNN, section 2.3 and appendix B; rcnn_train.m for the constants.

    Args:
        num_classes: K.
        feature_dim: D.
        c: weight of the hinge loss against the norm of w.
        positive_weight: factor on the loss of positives.
        bias_scale: value of the constant feature that carries the bias; larger means less regularised.
        target_norm: mean norm that features are scaled to; 0 leaves them as they are.
        negative_iou: a region is a negative of a class when it overlaps each of its truths by less; with 0, when it
            overlaps none at all.
        ignore: whether a region is set aside by the truths of the class alone or by those of every class.
        tol: stopping tolerance of the solver.
        max_iter: most sweeps of the solver.
        retrain_after: a class is trained again after more new hard negatives than this.
        hard_margin: margin from which a negative is hard.
        evict_below: margin below which a negative leaves the cache.
        passes: how often mining goes through the images.
        folds: into how many folds of images the final cache is split, to report how classes do on the fold that they
            have not learnt from; 0 leaves that out. It changes no classifier.

    Raises:
        ConfigError: ``evict_below`` is above ``hard_margin``, so evicted negatives would be hard again, or there is a
            single fold, which leaves nothing to learn from.
    """

    score_kind = "margin"

    def __init__(
        self,
        *,
        num_classes: int,
        feature_dim: int,
        c: Annotated[float, Positive] = 1e-3,
        positive_weight: Annotated[float, Positive] = 2.0,
        bias_scale: Annotated[float, Positive] = 10.0,
        target_norm: Annotated[float, NonNegative] = 20.0,
        negative_iou: Annotated[float, Fraction] = 0.3,
        ignore: Literal["per_class", "any_class"] = "per_class",
        tol: Annotated[float, Positive] = 1e-4,
        max_iter: Annotated[int, Positive] = 1000,
        retrain_after: Annotated[int, NonNegative] = 2000,
        hard_margin: float = -1.0001,
        evict_below: float = -1.2,
        passes: Annotated[int, Positive] = 1,
        folds: Annotated[int, NonNegative] = 0,
    ) -> None:
        if evict_below > hard_margin:
            raise ConfigError(
                f"EVICT_BELOW {evict_below} is above HARD_MARGIN {hard_margin}: evicted negatives would be hard at once"
            )
        if folds == 1:
            raise ConfigError("FOLDS 1 leaves no images to learn from; give 0, or 2 or more")
        self.num_classes, self.feature_dim = num_classes, feature_dim
        self.loss = HingeLoss(c, positive_weight, bias_scale)
        self.target_norm, self.negative_iou = target_norm, negative_iou
        self.ignore: Literal["per_class", "any_class"] = ignore
        self.tol, self.max_iter = tol, max_iter
        self.rules = MiningRules(retrain_after, hard_margin, evict_below)
        self.passes, self.folds = passes, folds
        self.weight_ = torch.zeros(num_classes, feature_dim)
        self.bias_ = torch.full((num_classes,), -float("inf"))
        self.scale_ = torch.tensor(1.0)
        self._report: dict[str, object] = {}

    def fit(
        self,
        source: FeatureSource,
        rng: np.random.Generator,
        *,
        head: LinearHead | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learns the scale from a sample, takes the positives of all images, then mines; the head is not used.

        The sample and the positives are read in one sweep over the images; each pass of the mining is another.
        A class without a positive or without a negative keeps the score -inf; ``report`` names it.

        Raises:
            DataError: the split has no ground truth at all, or a feature is nan or infinite.
        """
        index = source.index
        if not (index.truth_label >= 0).any():
            raise DataError(
                f"LinearSVM: none of the {index.num_images} training images has a ground truth to learn from"
            )
        truth_rows, truths = self._first_sweep(source, rng)
        solvers = self._solvers(rng)
        miners = self._miners(truths, index.truth_label[truth_rows], solvers, RowPool())
        mine(source, miners, self._negatives(index), passes=self.passes, progress=progress)
        self.weight_ = torch.stack([m.weight for m in miners])
        self.bias_ = torch.tensor([m.bias for m in miners])
        self._report = {
            "scale": float(self.scale_),
            "positives": [len(m.positives) for m in miners],
            "cached_negatives": [len(m.rows) for m in miners],
            "trainings": [len(m.objectives) for m in miners],
            "objective": [m.objectives[-1] if m.objectives else None for m in miners],
            "unconverged_trainings": [s.unconverged for s in solvers],
            "never_fires": [k for k, m in enumerate(miners) if not m.objectives],
            "negative_iou": self.negative_iou,
            "ignore": self.ignore,
        }
        if self.folds:
            fold = image_folds(index.num_images, self.folds, rng)[index.image]
            labels = index.truth_label[truth_rows]
            rows = [np.concatenate([truth_rows[labels == k], m.rows]) for k, m in enumerate(miners)]
            self._report["held_out"] = [held_out(m, fold[own]) for m, own in zip(miners, rows, strict=True)]
        return self

    def fit_folds(
        self, source: FeatureSource, fold: np.ndarray, rng: np.random.Generator, *, progress: Progress | None = None
    ) -> Sequence[Self]:
        """Mines for all folds together, from this classifier's models on.

        The first pass finds what is hard for these, and ends with a training without each fold. The second finds what
        is hard for the models of the folds. Mining from nothing for each fold gives the same thresholds, but goes
        through the images once a fold and trains each class more often.
        """
        index = source.index
        truth_rows = np.flatnonzero(index.truth_label >= 0)
        truths, truth_fold = HeldRows(source, truth_rows).take(truth_rows).half(), fold[index.image[truth_rows]]
        numbers = range(int(fold.max(initial=-1)) + 1)
        miners: list[Miner] = []
        pool = RowPool()
        for number in numbers:
            labels = np.where(truth_fold == number, -1, index.truth_label[truth_rows])
            miners += self._miners(truths, labels, self._solvers(rng), pool)
        for miner, weight, bias in zip(miners, self.weight_.repeat(len(numbers), 1), self.bias_.repeat(len(numbers))):
            if len(miner.positives):
                miner.weight, miner.bias = weight, float(bias)
        every = self._negatives(index)

        def negatives(image: int) -> Tensor:
            is_seen = torch.tensor([number != fold[image] for number in numbers]).repeat_interleave(self.num_classes)
            return every(image).repeat(1, len(numbers)) & is_seen

        mine(source, miners, negatives, passes=2, progress=progress)
        others = [copy.copy(self) for _ in numbers]
        for number, other in enumerate(others):
            own = miners[number * self.num_classes :][: self.num_classes]
            other.weight_, other.bias_ = torch.stack([m.weight for m in own]), torch.tensor([m.bias for m in own])
        return others

    def _solvers(self, rng: np.random.Generator) -> list[HingeSolver]:
        seeds = rng.integers(2**31, size=self.num_classes)
        return [HingeSolver(self.loss, tol=self.tol, max_iter=self.max_iter, seed=int(seed)) for seed in seeds]

    def _miners(self, truths: Tensor, labels: np.ndarray, solvers: Sequence[HingeSolver], pool: RowPool) -> list[Miner]:
        """A miner for each class, of (P, D) features of the truths and their (P,) classes, -1 for none."""
        scale = float(self.scale_)
        return [
            Miner(truths[torch.from_numpy(labels == k)], solver, scale=scale, rules=self.rules, pool=pool)
            for k, solver in enumerate(solvers)
        ]

    def _negatives(self, index: RegionIndex) -> Callable[[int], Tensor]:
        """Of an image (n, K) bool: which rows are negatives of each class."""

        def negatives(image: int) -> Tensor:
            own_labels = torch.from_numpy(index.truth_label[index.rows(image)])
            return svm_labels(*index.overlaps(image), own_labels, self.negative_iou, self.ignore) == -1

        return negatives

    def _first_sweep(self, source: FeatureSource, rng: np.random.Generator) -> tuple[np.ndarray, Tensor]:
        """Sets the scale; gives the (P,) rows of all ground truths and their (P, D) float16 features."""
        truth_rows = np.flatnonzero(source.index.truth_label >= 0)
        sample = norm_sample(source.index, rng) if self.target_norm else truth_rows[:0]
        held = HeldRows(source, np.union1d(sample, truth_rows))
        self.scale_ = torch.tensor(self.target_norm / held.mean_norm_of(sample) if self.target_norm else 1.0)
        truths = held.take(truth_rows).half()
        if not bool(truths.isfinite().all()):
            raise DataError("LinearSVM: a ground truth's features are no numbers, or beyond float16's 65504")
        return truth_rows, truths

    def score(self, features: Tensor) -> Tensor:
        """(N, K) float32 margins of (N, D) features; -inf for a class that could not be trained."""
        linear = self.linear()
        return features @ linear.weight.T + linear.bias

    def linear(self) -> LinearHead:
        """Weight and bias for features that are not scaled."""
        return LinearHead(self.weight_ * self.scale_, self.bias_)

    def state(self) -> dict[str, Tensor]:
        """Weight (K, D) and bias (K,) for scaled features, and the scale ()."""
        return {"weight": self.weight_, "bias": self.bias_, "scale": self.scale_}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Puts back what ``state`` gave."""
        shapes = {"weight": (self.num_classes, self.feature_dim), "bias": (self.num_classes,), "scale": ()}
        loaded = checked_state("LinearSVM", state, shapes)
        self.weight_, self.bias_, self.scale_ = loaded["weight"], loaded["bias"], loaded["scale"]

    def report(self) -> dict[str, object]:
        """Lists over the classes, what was learnt from; ``never_fires`` names classes that could not be trained."""
        return self._report
