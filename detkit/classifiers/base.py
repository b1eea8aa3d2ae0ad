"""What every region classifier gives."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Literal

import numpy as np
from torch import Tensor
from typing_extensions import Self

from detkit.progress import Progress
from detkit.regions.source import FeatureSource, LinearHead
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
    needs_head: ClassVar[str] = ""
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
        """Learns from the regions of ``source.index``.

        Args:
            source: the features of the classifier's layer.
            rng: the only randomness.
            head: the fine-tuned head, None where no network was fine-tuned.
            progress: told of each image that was read.
        """

    @abstractmethod
    def score(self, features: Tensor) -> Tensor:
        """(N, K) float32 scores of (N, D) float32 features as the extractor gives them; no background column.

        -inf where a class does not fire. A classifier that gives it to all classes of its own training objects is
        refused once it is learnt, as nothing could be detected with it.
        """
