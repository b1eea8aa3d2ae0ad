"""The base class of region classifiers."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Self

from detkit.errors import ComponentError
from detkit.progress import Progress
from detkit.regions.source import FeatureSource, LinearHead, SomeImages
from detkit.structures.state import Learnt


class Classifier(Learnt):
    """Scores regions for each of K classes.

    A registered classifier's constructor takes ``num_classes`` and ``feature_dim`` from the builder.

    Attributes:
        score_kind: "margin" or "probability". Pictures show margins from 0 and probabilities from 0.5.
        reads_features: whether ``fit`` reads its source; if not, no features are extracted for it.
        needs_head: "class" if ``fit`` needs the class head of the tuned network, else empty.
        passes: number of times that ``fit`` goes through all features.
    """

    score_kind: Literal["margin", "probability"]
    reads_features: bool = True
    needs_head: str = ""
    passes: int = 1

    @abstractmethod
    def fit(
        self,
        source: FeatureSource,
        rng: np.random.Generator,
        *,
        head: LinearHead | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learns from the regions of ``source.index`` only, and forgets what it learnt before.

        Args:
            source: the features of the classifier's layer.
            rng: the only randomness.
            head: the fine-tuned head; None if no network was fine-tuned.
            progress: updated after each image that was read.
        """

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
        """Fits classifiers of this class, which differ in their settings. The result is that of ``fit`` for each.

        This implementation calls ``fit`` for each. Override it if all can learn while the features are read once.

        Args:
            classifiers: N classifiers; they are changed in place.
            source: the features of the layer that all of them read.
            rngs: for each classifier its only randomness.
            head: the fine-tuned head; None if no network was fine-tuned.
            progress: updated after each image that the first one has read.
        """
        for number, (classifier, rng) in enumerate(zip(classifiers, rngs, strict=True)):
            classifier.fit(source, rng, head=head, progress=None if number else progress)

    def fit_folds(
        self, source: FeatureSource, fold: np.ndarray, rng: np.random.Generator, *, progress: Progress | None = None
    ) -> Sequence[Self]:
        """A classifier for each fold, trained without the fold's images; this classifier does not change.

        This implementation calls ``fit`` once for each fold. Override it if there is a faster way.

        Args:
            source: what this classifier was fitted on.
            fold: (I,) int64 fold 0..F-1 of each image.
            rng: the only randomness.
            progress: updated after each image that was read.
        """
        numbers = range(int(fold.max(initial=-1)) + 1)
        sources = [SomeImages(source, np.flatnonzero(fold != number)) for number in numbers]
        return [copy.deepcopy(self).fit(own, rng, progress=progress) for own in sources]

    def fold_passes(self, folds: int) -> int:
        """Number of times that ``fit_folds`` goes through all features, for so many folds."""
        return (folds - 1) * self.passes

    @abstractmethod
    def score(self, features: Tensor) -> Tensor:
        """(N, K) float32 scores of (N, D) float32 features as the extractor gives them; no background column.

        A score of -inf says that the region is not of the class. If all training objects score -inf in all classes, the
        classifier cannot detect anything, and the run stops after training it.
        """

    def linear(self) -> LinearHead | None:
        """The linear map that gives the scores; None if the scores have none. It tells each feature's share of a score.

        Margins are its K outputs. Probabilities are the softmax of its K outputs, or of K+1 with background last.
        """
        return None


def checked_scores(classifier: Classifier, scores: Tensor, count: int) -> Tensor:
    """``scores``, after a check. Every result of a classifier passes through it.

    Args:
        classifier: named in the message.
        scores: its result.
        count: N, the number of regions that it scored.

    Raises:
        ComponentError: if ``scores`` is no (N, K) float32 tensor, or a score is NaN.
    """
    where = f"{type(classifier).__name__}.score"
    if not isinstance(scores, Tensor) or scores.dtype != torch.float32 or scores.ndim != 2 or len(scores) != count:
        got = f"{scores.dtype} {tuple(scores.shape)}" if isinstance(scores, Tensor) else type(scores).__name__
        raise ComponentError(f"{where}: expected a float32 tensor ({count}, number of classes), got {got}")
    if bool(scores.isnan().any()):
        row, label = scores.isnan().nonzero()[0].tolist()
        raise ComponentError(f"{where}: expected numbers or -inf, got NaN for region {row} and class {label}")
    return scores
