"""A classifier of your own, checked and trained: python examples/own_part.py.

It scores a region by its likeness to the mean feature of each class.
"""

from __future__ import annotations

import numpy as np
import torch

from detkit.classifiers.base import Classifier
from detkit.registry import CLASSIFIERS
from detkit.structures.state import checked_state
from detkit.testing import check_component
from detkit.testing.example import example_source


@CLASSIFIERS.register()
class NearestMean(Classifier):
    """The negative distance to the mean feature of a class's objects."""

    score_kind = "margin"

    def __init__(self, *, num_classes: int, feature_dim: int) -> None:
        self.num_classes, self.feature_dim = num_classes, feature_dim
        self.mean_ = torch.zeros(num_classes, feature_dim)

    def fit(self, source, rng, *, head=None, progress=None) -> NearestMean:
        """Learns the means, and forgets earlier ones: folds are learnt one after the other."""
        self.mean_ = torch.zeros(self.num_classes, self.feature_dim)
        for k in range(self.num_classes):
            rows = np.flatnonzero(source.index.truth_label == k)
            if len(rows):
                self.mean_[k] = source.take(rows).mean(0)
            if progress is not None:
                progress.update()
        return self

    def score(self, features):
        """(N, K) float32."""
        return -torch.cdist(features, self.mean_)

    def state(self):
        """The means (K, D)."""
        return {"mean": self.mean_}

    def load(self, state) -> None:
        """Puts back what ``state`` gave."""
        self.mean_ = checked_state("NearestMean", state, {"mean": (self.num_classes, self.feature_dim)})["mean"]


if __name__ == "__main__":
    check_component(NearestMean)
    source = example_source()
    learnt = NearestMean(num_classes=1, feature_dim=2).fit(source, np.random.default_rng(0))
    print(learnt.score(source.take(np.arange(4))))
