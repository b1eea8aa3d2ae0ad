"""The paper's region classifier."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Self

from detkit.classifiers.base import Classifier
from detkit.classifiers.examples import ExampleRules
from detkit.classifiers.hinge import HingeLoss
from detkit.classifiers.mining import MiningRules
from detkit.classifiers.svm_training import FOLD_PASSES, Training, train, train_folds
from detkit.config.ranges import Fraction, NonNegative, Positive
from detkit.errors import ConfigError
from detkit.progress import Progress
from detkit.regions.source import FeatureSource, LinearHead, head_of
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
        self.training = Training(
            num_classes=num_classes,
            loss=HingeLoss(c, positive_weight, bias_scale),
            target_norm=target_norm,
            examples=ExampleRules(positive_iou, negative_iou, ignore),
            negatives=negatives,
            tol=tol,
            max_iter=max_iter,
            rules=MiningRules(retrain_after, hard_margin, evict_below),
            passes=passes,
        )
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
        self._fit([self], source, [rng], head, progress)
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
        cls._fit(classifiers, source, rngs, head, progress)

    @staticmethod
    def _fit(
        classifiers: Sequence[LinearSVM],
        source: FeatureSource,
        rngs: Sequence[np.random.Generator],
        head: LinearHead | None,
        progress: Progress | None,
    ) -> None:
        for svm in classifiers:
            svm._keep_head(head)
        for svm, rng, trained in zip(
            classifiers, rngs, train([svm.training for svm in classifiers], source, rngs, progress)
        ):
            svm.scale_ = torch.tensor(trained.scale)
            svm.weight_, svm.bias_ = trained.models()
            svm._report = trained.report(source, svm.folds, rng)

    def _keep_head(self, head: LinearHead | None) -> None:
        if self.softmax_weight:
            shape, remedy = (self.num_classes + 1, self.feature_dim), "fine-tune it or give SOFTMAX_WEIGHT 0"
            own = head_of(head, shape, slot="CLASSIFIER", taker="LinearSVM with SOFTMAX_WEIGHT", remedy=remedy)
            self.head_ = LinearHead(own.weight.detach().clone(), own.bias.detach().clone())

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
        others, models = [], (self.weight_, self.bias_, float(self.scale_))
        for own in train_folds(self.training, models, source, fold, rng, progress):
            others.append(copy.copy(self))
            others[-1].weight_, others[-1].bias_ = own
        return others

    def fold_passes(self, folds: int) -> int:
        """Two, for any number of folds."""
        return FOLD_PASSES

    def margins(self, features: Tensor) -> Tensor:
        """(N, K) float32 margins of (N, D) features; -inf for a class that could not be trained."""
        return features @ (self.weight_ * self.scale_).T + self.bias_

    def score(self, features: Tensor) -> Tensor:
        """(N, K) float32 margins of (N, D) features, with ``softmax_weight`` times the log odds of the softmax."""
        if not self.softmax_weight:
            return self.margins(features)
        logits = features @ self.head_.weight.T + self.head_.bias
        return self.margins(features) + self.softmax_weight * log_odds(logits)

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


def log_odds(logits: Tensor) -> Tensor:
    """(N, K) log of p / (1 - p) of each class under the softmax of (N, K+1) logits, background last."""
    columns = range(logits.shape[1])
    rest = [logits[:, [other for other in columns if other != k]].logsumexp(1) for k in columns[:-1]]
    return logits[:, :-1] - torch.stack(rest, 1)
