"""What every region classifier gives."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal

import numpy as np
from torch import Tensor
from typing_extensions import Self

from detkit.progress import Progress
from detkit.regions.source import FeatureSource, LinearHead, SomeImages
from detkit.structures.state import Learnt


class Classifier(Learnt):
    """Scores regions for each of K classes.

    A registered classifier's constructor takes ``num_classes`` and ``feature_dim`` from the builder.

    Attributes:
        score_kind: "margin" (shown from 0) or "probability" (shown from 0.5).
        reads_features: whether ``fit`` reads its source; where not, no features are extracted for it.
        needs_head: whether ``fit`` needs the fine-tuned head.
        passes: how often ``fit`` goes through all features.
    """

    score_kind: Literal["margin", "probability"]
    reads_features: bool = True
    needs_head: bool = False
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
        """(N, K) float32 scores of (N, D) float32 features as the extractor gives them; no background column."""
