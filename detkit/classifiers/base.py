"""What every region classifier gives."""

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
        score_kind: "margin" (shown from 0) or "probability" (shown from 0.5).
        reads_features: whether ``fit`` reads its source; where not, no features are extracted for it.
        needs_head: the head of the tuned network that ``fit`` needs ("class"), or empty.
        passes: how often ``fit`` goes through all features.
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
        """Learns from the regions of ``source.index`` alone; what was learnt before is forgotten.

        Args:
            source: the features of the classifier's layer.
            rng: the only randomness.
            head: the fine-tuned head, None where no network was fine-tuned.
            progress: told of each image that was read.
        """

    def fit_folds(
        self, source: FeatureSource, fold: np.ndarray, rng: np.random.Generator, *, progress: Progress | None = None
    ) -> Sequence[Self]:
        """For each fold a classifier like this one that has not learnt from its images; this one stays as it is.

        Here every one is fitted anew, which costs a ``fit`` a fold. Override it where there is a shorter way.

        Args:
            source: what this classifier was fitted on.
            fold: (I,) int64 fold 0..F-1 of each image.
            rng: the only randomness.
            progress: told of each image that was read.
        """
        numbers = range(int(fold.max(initial=-1)) + 1)
        sources = [SomeImages(source, np.flatnonzero(fold != number)) for number in numbers]
        return [copy.deepcopy(self).fit(own, rng, progress=progress) for own in sources]

    @abstractmethod
    def score(self, features: Tensor) -> Tensor:
        """(N, K) float32 scores of (N, D) float32 features as the extractor gives them; no background column.

        -inf where a class does not fire. A classifier that gives it to all classes of its own training objects is
        refused once it is learnt, as nothing could be detected with it.
        """

    def linear(self) -> LinearHead | None:
        """The linear map behind the scores, so that each feature's share of them can be told; None where there is none.

        Margins are its K outputs. Probabilities are the softmax of its outputs, K or, with background last, K+1.
        """
        return None


def checked_scores(classifier: Classifier, scores: Tensor, count: int) -> Tensor:
    """What a classifier has answered; the core looks at every answer.

    Args:
        classifier: named in the message.
        scores: its answer.
        count: N, the regions that it was asked about.

    Raises:
        ComponentError: it is no (N, K) float32 tensor, or a score is NaN.
    """
    where = f"{type(classifier).__name__}.score"
    if not isinstance(scores, Tensor) or scores.dtype != torch.float32 or scores.ndim != 2 or len(scores) != count:
        got = f"{scores.dtype} {tuple(scores.shape)}" if isinstance(scores, Tensor) else type(scores).__name__
        raise ComponentError(f"{where}: expected a float32 tensor ({count}, number of classes), got {got}")
    if bool(scores.isnan().any()):
        row, label = scores.isnan().nonzero()[0].tolist()
        raise ComponentError(f"{where}: expected numbers or -inf, got NaN for region {row} and class {label}")
    return scores
