"""A binary linear SVM on given examples."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class HingeLoss:
    """The objective: |w|^2 / 2 + (b / bias_scale)^2 / 2 + c sum of weighted hinge losses.

    Source: liblinear's L1-loss SVM with -c 0.001 -w1 2 -B 10, as rcnn_train.m calls it.

    Args:
        c: weight of the losses.
        positive_weight: additional factor on the losses of positives.
        bias_scale: value of the constant feature that carries the bias.
    """

    c: float
    positive_weight: float
    bias_scale: float

    def objective(self, weight: np.ndarray, bias: float, examples: np.ndarray, num_positives: int) -> float:
        """The value to be minimised, for (n, D) examples of which the first ``num_positives`` are positives."""
        margins = examples @ weight + bias
        loss = self.positive_weight * np.maximum(0, 1 - margins[:num_positives]).sum()
        loss += np.maximum(0, 1 + margins[num_positives:]).sum()
        return float(weight @ weight / 2 + (bias / self.bias_scale) ** 2 / 2 + self.c * loss)


class HingeSolver:
    """Minimises a hinge loss by dual coordinate descent (liblinear).

    Args:
        loss: the objective.
        tol: bound on the violation of the optimality conditions.
        max_iter: maximal number of sweeps over the examples.
        seed: seed of the order in which coordinates are visited.

    Attributes:
        unconverged: number of calls that stopped at ``max_iter``.
    """

    def __init__(self, loss: HingeLoss, *, tol: float = 1e-4, max_iter: int = 1000, seed: int = 0) -> None:
        self.loss = loss
        self.tol, self.max_iter, self.seed = tol, max_iter, seed
        self.unconverged = 0

    def __call__(self, examples: np.ndarray, num_positives: int) -> tuple[np.ndarray, float, float]:
        """Weight (D,), bias and objective for (n, D) float64 examples, positives first, at least one of each kind."""
        from sklearn import config_context  # slow to import, and only a training solves
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.svm import LinearSVC

        svm = LinearSVC(
            C=self.loss.c,
            loss="hinge",
            dual=True,
            intercept_scaling=self.loss.bias_scale,
            class_weight={1: self.loss.positive_weight, -1: 1.0},
            tol=self.tol,
            max_iter=self.max_iter,
            random_state=self.seed,
        )
        labels = np.where(np.arange(len(examples)) < num_positives, 1, -1)
        # A feature source gives finite numbers; looking at them again would take a tenth of a training.
        with warnings.catch_warnings(), config_context(assume_finite=True):
            warnings.simplefilter("ignore", ConvergenceWarning)
            svm.fit(examples, labels)
        self.unconverged += svm.n_iter_ >= self.max_iter
        weight, bias = svm.coef_[0], float(svm.intercept_[0])
        return weight, bias, self.loss.objective(weight, bias, examples, num_positives)
