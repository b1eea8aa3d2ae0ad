"""The paper's region classifier."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Self

from detkit.classifiers.base import Classifier
from detkit.classifiers.examples import (
    ExampleRules,
    draw_negatives,
    features_of_positives,
    halves,
    of_classes,
)
from detkit.classifiers.folds import held_out, image_folds
from detkit.classifiers.hinge import HingeLoss, HingeSolver
from detkit.classifiers.mining import Miner, Mining, MiningRules, mine
from detkit.classifiers.row_pool import RowPool
from detkit.config.ranges import Fraction, NonNegative, Positive
from detkit.errors import ConfigError, DataError
from detkit.progress import Progress
from detkit.regions.held import HeldRows
from detkit.regions.source import FeatureSource, LinearHead, head_of, norm_sample
from detkit.registry import CLASSIFIERS
from detkit.structures.state import checked_state


@CLASSIFIERS.register()
class LinearSVM(Classifier):
    """One linear SVM per class, trained by default on ground truths and mined hard negatives.

    Features are multiplied by ``target_norm`` / (mean norm of a sample of the training regions). The constants of the
    loss, such as ``c``, assume features of this scale.
    Source: R-CNN, section 2.3 and appendix B; rcnn_train.m for the constants.

    Args:
        num_classes: K.
        feature_dim: D.
        c: weight of the hinge loss against the norm of w.
        positive_weight: factor on the loss of positives.
        bias_scale: value of the constant feature that carries the bias; a larger value regularises the bias less.
        target_norm: mean norm that features are scaled to; 0 does not scale them.
        positive_iou: IoU from which a proposal is a positive, too: of the class of the ground truth that it overlaps
            best; null takes only ground truths as positives. With 0.5 here and in ``negative_iou``, positives and
            background are those of fine-tuning. All positives are held in memory as float16.
        negative_iou: a region is a negative of a class if its IoU with each ground truth of the class is below this;
            with 0, if it overlaps none of them.
        ignore: "per_class" compares a region with the ground truths of the class only; "any_class" compares it with
            those of all classes, so that an object of another class is no negative.
        negatives: "mined" trains on hard negatives. "random" mines first, then trains each class once more on negatives
            drawn uniformly without repetition from all of the class; their number is that of the last training of
            mining.
        tol: stopping tolerance of the solver.
        max_iter: maximal number of sweeps of the solver over its examples.
        retrain_after: a class is trained again after more new hard negatives than this.
        hard_margin: a negative is hard if its margin is above this.
        evict_below: a negative leaves the cache after a training if its margin is below this.
        softmax_weight: the score is the margin plus this factor times the log odds of the fine-tuned network's softmax;
            0 takes the margin alone. Any other value needs a fine-tuned network, and the classifier must read its last
            layer.
        passes: number of times that mining goes through all images.
        folds: number of folds of the images for a check that the report holds: the final cache without one fold trains
            a classifier, which is tested on that fold; 0 skips the check. The classifier itself stays the same.

    Raises:
        ConfigError: if ``evict_below`` is above ``hard_margin`` (evicted negatives would be hard again), if ``folds``
            is 1 (no image is left to learn from), or if ``positive_iou`` is below ``negative_iou`` (a region would be
            positive and negative at once).

    Example:
        >>> import numpy as np
        >>> from detkit.testing.example import example_source
        >>> source = example_source()
        >>> svm = LinearSVM(num_classes=1, feature_dim=2).fit(source, np.random.default_rng(0))
        >>> margins = svm.score(source.take(np.arange(4)))
        >>> bool(margins[0, 0] > margins[3, 0])  # the object and the background
        True
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
        positive_iou: Annotated[float, Positive, Fraction] | None = None,
        negative_iou: Annotated[float, Fraction] = 0.3,
        ignore: Literal["per_class", "any_class"] = "per_class",
        negatives: Literal["mined", "random"] = "mined",
        tol: Annotated[float, Positive] = 1e-4,
        max_iter: Annotated[int, Positive] = 1000,
        retrain_after: Annotated[int, NonNegative] = 2000,
        hard_margin: float = -1.0001,
        evict_below: float = -1.2,
        softmax_weight: Annotated[float, NonNegative] = 0.0,
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
        self.target_norm = target_norm
        self.examples = ExampleRules(positive_iou, negative_iou, ignore)
        self.negatives: Literal["mined", "random"] = negatives
        self.tol, self.max_iter = tol, max_iter
        self.rules = MiningRules(retrain_after, hard_margin, evict_below)
        self.passes, self.folds = passes, folds
        self.softmax_weight = softmax_weight
        self.needs_head = "class" if softmax_weight else ""
        shape = (num_classes + 1, feature_dim) if softmax_weight else (0, feature_dim)
        self.head_ = LinearHead(torch.zeros(shape), torch.zeros(shape[0]))
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
        """Learns the scale from a sample, takes the positives of all images, then mines.

        It reads all images once for the sample and the positives, and once more in each pass of mining. A class without
        a positive or without a negative scores -inf; ``report`` lists it under ``never_fires``. With ``softmax_weight``
        above 0 it also keeps a copy of ``head``.

        Raises:
            DataError: if the split has no ground truth, if a feature is nan or infinite, or if one of a positive is
                beyond float16's range (65504).
            ConfigError: if ``softmax_weight`` is above 0 and the network has no head for the layer that is read.
        """
        _fit([self], source, [rng], head, progress)
        return self

    @classmethod
    def fit_together(
        cls,
        classifiers: Sequence[Self],
        source: FeatureSource,
        rngs: Sequence[np.random.Generator],
        *,
        head: LinearHead | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Fits several classifiers; all read each image together.

        A subclass with a ``fit`` of its own is fitted by it, one classifier at a time.
        Memory: cached features are held once for all, and positives once for each ``positive_iou``.
        """
        if cls.fit is not LinearSVM.fit:
            super().fit_together(classifiers, source, rngs, head=head, progress=progress)
            return
        _fit(classifiers, source, rngs, head, progress)

    def _keep_head(self, head: LinearHead | None) -> None:
        if self.softmax_weight:
            shape, remedy = (self.num_classes + 1, self.feature_dim), "fine-tune it or give SOFTMAX_WEIGHT 0"
            own = head_of(head, shape, slot="CLASSIFIER", taker="LinearSVM with SOFTMAX_WEIGHT", remedy=remedy)
            self.head_ = LinearHead(own.weight.detach().clone(), own.bias.detach().clone())

    def _finish(
        self,
        source: FeatureSource,
        mining: Mining,
        solvers: Sequence[HingeSolver],
        positives: tuple[np.ndarray, np.ndarray],
        rng: np.random.Generator,
    ) -> None:
        """Takes the models that were mined, for positives in these (P,) rows and of these (P,) classes."""
        index, miners, (rows, labels) = source.index, mining.miners, positives
        if self.negatives == "random":
            miners = self._on_random_negatives(source, miners, mining.negatives, rng)
        self.weight_ = torch.stack([m.weight for m in miners])
        self.bias_ = torch.tensor([m.bias for m in miners])
        self._report = {
            "scale": float(self.scale_),
            "positives": [len(m.positives) for m in miners],
            "cached_negatives": [len(m.rows) for m in miners],
            "trainings": [len(m.objectives) for m in miners],
            "objective": [m.objectives[-1] if m.objectives else None for m in miners],
            "mining": [{"objectives": m.objectives, "num_negatives": m.num_negatives} for m in miners],
            "hardest_negatives": [m.hardest(index) for m in miners],
            "unconverged_trainings": [solver.unconverged for solver in solvers],
            "never_fires": [k for k, m in enumerate(miners) if not m.objectives],
            **asdict(self.examples),
            "negatives": self.negatives,
        }
        if self.folds:
            fold = image_folds(index.num_images, self.folds, rng)[index.image]
            used = [np.concatenate([rows[labels == k], m.rows]) for k, m in enumerate(miners)]
            self._report["held_out"] = [held_out(m, fold[own]) for m, own in zip(miners, used, strict=True)]

    def fit_folds(
        self, source: FeatureSource, fold: np.ndarray, rng: np.random.Generator, *, progress: Progress | None = None
    ) -> Sequence[Self]:
        """A classifier for each fold, trained without the fold's images; all folds are mined together.

        Mining starts from the models of this classifier and makes two passes. The first pass finds the negatives that
        are hard for these models; then each fold's model is trained without the fold. The second pass finds the
        negatives that are hard for the fold's model.

        Mining each fold from nothing gives the same thresholds, but it reads all images once a fold and trains each
        class more often. With ``negatives`` "random", negatives are drawn anew for each fold, as many as the fold's
        last training of mining had.
        """
        index = source.index
        rows, classes = self.examples.positives(index)
        positives, own_fold = halves(HeldRows(source, rows), rows), fold[index.image[rows]]
        numbers = range(int(fold.max(initial=-1)) + 1)
        miners: list[Miner] = []
        pool = RowPool()
        for number in numbers:
            labels = np.where(own_fold == number, -1, classes)
            miners += self._miners(of_classes(positives, labels, self.num_classes), self._solvers(rng), pool)
        for miner, weight, bias in zip(miners, self.weight_.repeat(len(numbers), 1), self.bias_.repeat(len(numbers))):
            if len(miner.positives):
                miner.weight, miner.bias = weight, float(bias)
        every = self.examples.negatives(index)

        def negatives(image: int) -> Tensor:
            is_seen = torch.tensor([number != fold[image] for number in numbers]).repeat_interleave(self.num_classes)
            return every(image).repeat(1, len(numbers)) & is_seen

        mine(source, [Mining(miners, negatives, passes=2)], progress=progress)
        if self.negatives == "random":
            miners = self._on_random_negatives(source, miners, negatives, rng)
        others = [copy.copy(self) for _ in numbers]
        for number, other in enumerate(others):
            own = miners[number * self.num_classes :][: self.num_classes]
            other.weight_, other.bias_ = torch.stack([m.weight for m in own]), torch.tensor([m.bias for m in own])
        return others

    def _solvers(self, rng: np.random.Generator) -> list[HingeSolver]:
        seeds = rng.integers(2**31, size=self.num_classes)
        return [HingeSolver(self.loss, tol=self.tol, max_iter=self.max_iter, seed=int(seed)) for seed in seeds]

    def _miners(self, positives: Sequence[Tensor], solvers: Sequence[HingeSolver], pool: RowPool) -> list[Miner]:
        """A miner for each class, of the (P, D) features of its positives."""
        scale = float(self.scale_)
        return [
            Miner(own, solver, scale=scale, rules=self.rules, pool=pool)
            for own, solver in zip(positives, solvers, strict=True)
        ]

    def _on_random_negatives(
        self,
        source: FeatureSource,
        mined: Sequence[Miner],
        negatives: Callable[[int], Tensor],
        rng: np.random.Generator,
    ) -> list[Miner]:
        """The miners' positives against as many negatives drawn at random, of which none is evicted."""
        rules = replace(self.rules, evict_below=-float("inf"))
        drawn = draw_negatives(source.index, negatives, [miner.num_learnt for miner in mined], rng)
        held, pool = HeldRows(source, np.unique(np.concatenate(drawn))), RowPool()
        others = [Miner(m.positives, m.train, scale=m.scale, rules=rules, pool=pool) for m in mined]
        for miner, rows in zip(others, drawn, strict=True):
            miner.learn(rows, halves(held, rows))
        return others

    def score(self, features: Tensor) -> Tensor:
        """(N, K) float32 scores of (N, D) features; -inf for a class that could not be trained."""
        margins = features @ (self.weight_ * self.scale_).T + self.bias_
        if not self.softmax_weight:
            return margins
        return margins + self.softmax_weight * log_odds(features @ self.head_.weight.T + self.head_.bias)

    def linear(self) -> LinearHead | None:
        """Weight (K, D) and bias (K,) for unscaled features; None if ``softmax_weight`` is above 0."""
        return None if self.softmax_weight else LinearHead(self.weight_ * self.scale_, self.bias_)

    def state(self) -> dict[str, Tensor]:
        """Weight (K, D), bias (K,) and scale () for scaled features; the head, too, with ``softmax_weight`` above 0."""
        own = {"weight": self.weight_, "bias": self.bias_, "scale": self.scale_}
        return own | ({"head.weight": self.head_.weight, "head.bias": self.head_.bias} if self.softmax_weight else {})

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restores what ``state`` returned."""
        shapes: dict[str, tuple[int, ...]]
        shapes = {"weight": (self.num_classes, self.feature_dim), "bias": (self.num_classes,), "scale": ()}
        if self.softmax_weight:
            rows = self.num_classes + 1
            shapes |= {"head.weight": (rows, self.feature_dim), "head.bias": (rows,)}
        loaded = checked_state("LinearSVM", state, shapes)
        if self.softmax_weight:
            self.head_ = LinearHead(loaded["head.weight"], loaded["head.bias"])
        self.weight_, self.bias_, self.scale_ = loaded["weight"], loaded["bias"], loaded["scale"]

    def report(self) -> dict[str, object]:
        """Lists with an entry a class: what it learnt from. ``never_fires`` lists classes that could not be trained."""
        return self._report


def _fit(
    classifiers: Sequence[LinearSVM],
    source: FeatureSource,
    rngs: Sequence[np.random.Generator],
    head: LinearHead | None,
    progress: Progress | None,
) -> None:
    """Fits classifiers in one sweep for samples and positives, and in the same passes of mining."""
    index = source.index
    if not (index.truth_label >= 0).any():
        raise DataError(f"LinearSVM: none of the {index.num_images} training images has a ground truth to learn from")
    for svm in classifiers:
        svm._keep_head(head)
    found = {svm.examples.positive_iou: svm.examples.positives(index) for svm in classifiers}
    samples = [
        norm_sample(index, rng) if svm.target_norm else np.zeros(0, np.int64)
        for svm, rng in zip(classifiers, rngs, strict=True)
    ]
    solvers = [svm._solvers(rng) for svm, rng in zip(classifiers, rngs)]
    minings = _prepared(classifiers, source, found, samples, solvers)
    mine(source, minings, progress=progress)
    for svm, own, mining, rng in zip(classifiers, solvers, minings, rngs):
        svm._finish(source, mining, own, found[svm.examples.positive_iou], rng)


def _prepared(
    classifiers: Sequence[LinearSVM],
    source: FeatureSource,
    found: Mapping[float | None, tuple[np.ndarray, np.ndarray]],
    samples: Sequence[np.ndarray],
    solvers: Sequence[Sequence[HingeSolver]],
) -> list[Mining]:
    """A mining for each classifier; sets the scales. Settings with the same positives share them, and all the caches.

    Args:
        classifiers: the classifiers.
        source: the features.
        found: (P,) rows and classes of the positives, by ``positive_iou``.
        samples: for each classifier the rows of which the mean norm is taken.
        solvers: for each classifier one for each class.
    """
    held = HeldRows(source, np.unique(np.concatenate([*samples, *(rows for rows, _ in found.values())])))
    positives = {
        iou: of_classes(features_of_positives(held, rows, iou), labels, classifiers[0].num_classes)
        for iou, (rows, labels) in found.items()
    }
    pool, minings = RowPool(), []
    for svm, own, sample in zip(classifiers, solvers, samples):
        svm.scale_ = torch.tensor(svm.target_norm / held.mean_norm_of(sample) if svm.target_norm else 1.0)
        miners = svm._miners(positives[svm.examples.positive_iou], own, pool)
        minings.append(Mining(miners, svm.examples.negatives(source.index), svm.passes))
    return minings


def log_odds(logits: Tensor) -> Tensor:
    """(N, K) log of p / (1 - p) of each class under the softmax of (N, K+1) logits, background last."""
    columns = range(logits.shape[1])
    rest = [logits[:, [other for other in columns if other != k]].logsumexp(1) for k in columns[:-1]]
    return logits[:, :-1] - torch.stack(rest, 1)
