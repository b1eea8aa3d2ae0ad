"""A softmax that learns from the SVMs' examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import numpy as np
import torch
from torch import Tensor
from typing_extensions import Self

from detkit.classifiers.base import Classifier
from detkit.classifiers.linear_svm import LinearSVM
from detkit.config.ranges import Positive
from detkit.progress import Progress
from detkit.regions.source import FeatureSource, LinearHead
from detkit.registry import CLASSIFIERS
from detkit.structures.state import checked_state


@CLASSIFIERS.register()
class MinedSoftmax(Classifier):
    """Softmax regression on ground truths and on negatives that are hard for the SVMs.

    It first trains SVMs with default settings. Background are the regions that are a negative of every class and a hard
    negative of an SVM: inside its margin or on the wrong side.

    The paper names two causes of the softmax's lower AP: loose labels and random negatives. This softmax has neither.
    Source: R-CNN, appendix B.

    Args:
        num_classes: K.
        feature_dim: D.
        c: weight of the cross-entropy against the norm of the weights, for features scaled as for the SVMs.

    Example:
        >>> import numpy as np
        >>> from detkit.testing.example import example_source
        >>> source = example_source()
        >>> softmax = MinedSoftmax(num_classes=1, feature_dim=2).fit(source, np.random.default_rng(0))
        >>> chances = softmax.score(source.take(np.arange(4)))
        >>> bool(chances[0, 0] > chances[3, 0])  # the object and the background
        True
    """

    score_kind = "probability"
    passes = 2

    def __init__(self, *, num_classes: int, feature_dim: int, c: Annotated[float, Positive] = 0.01) -> None:
        self.num_classes, self.feature_dim, self.c = num_classes, feature_dim, c
        self._forget()

    def _forget(self) -> None:
        """No class fires."""
        self.weight_ = torch.zeros(self.num_classes + 1, self.feature_dim)
        self.bias_ = torch.full((self.num_classes + 1,), -float("inf"))
        self.bias_[-1] = 0.0

    def fit(
        self,
        source: FeatureSource,
        rng: np.random.Generator,
        *,
        head: LinearHead | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Trains the SVMs, then the softmax on ground truths and the SVMs' hard negatives; ``head`` is not used.

        Without ground truths or without background, all classes score -inf.
        """
        from sklearn.linear_model import LogisticRegression  # slow to import

        self._forget()
        if not (source.index.truth_label >= 0).any():
            return self
        svm = LinearSVM(num_classes=self.num_classes, feature_dim=self.feature_dim).fit(source, rng, progress=progress)
        examples, labels = self._examples(svm, source, progress)
        if len(np.unique(labels)) < 2 or self.num_classes not in labels:
            return self
        scale = float(svm.scale_)
        model = LogisticRegression(C=self.c, max_iter=1000).fit(examples.numpy() * scale, labels)
        known = torch.from_numpy(model.classes_)
        weight, bias = torch.from_numpy(model.coef_).float() * scale, torch.from_numpy(model.intercept_).float()
        if len(known) == 2:  # one class and background: scikit-learn gives the log odds of the latter alone
            weight, bias = torch.cat([torch.zeros_like(weight), weight]), torch.cat([torch.zeros_like(bias), bias])
        self.bias_[-1] = -float("inf")
        self.weight_[known], self.bias_[known] = weight, bias
        return self

    def _examples(self, svm: LinearSVM, source: FeatureSource, progress: Progress | None) -> tuple[Tensor, np.ndarray]:
        """(n, D) features and (n,) labels 0..K of ground truths and background."""
        index = source.index
        features, labels = [torch.zeros(0, self.feature_dim)], [np.zeros(0, np.int64)]
        for image, found in source.blocks():
            of_class = svm.training.examples.labels(index, image)
            is_hard = (svm.score(found) >= svm.training.rules.hard_margin).any(1)
            background = (of_class == -1).all(1) & is_hard
            truth = torch.from_numpy(index.truth_label[index.rows(image)])
            label = torch.where(background & (truth < 0), self.num_classes, truth)
            features.append(found[label >= 0])
            labels.append(label[label >= 0].numpy())
            if progress is not None:
                progress.update()
        return torch.cat(features), np.concatenate(labels)

    def score(self, features: Tensor) -> Tensor:
        """(N, K) float32 probabilities of (N, D) features; -inf for a class that could not be learnt."""
        found = torch.softmax(features @ self.weight_.T + self.bias_, dim=1)[:, :-1]
        return found.masked_fill(self.bias_[:-1].isneginf(), -float("inf"))

    def state(self) -> dict[str, Tensor]:
        """Weight (K+1, D) and bias (K+1,) for unscaled features, background last."""
        return {"weight": self.weight_, "bias": self.bias_}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restores what ``state`` returned."""
        rows = self.num_classes + 1
        loaded = checked_state("MinedSoftmax", state, {"weight": (rows, self.feature_dim), "bias": (rows,)})
        self.weight_, self.bias_ = loaded["weight"], loaded["bias"]
