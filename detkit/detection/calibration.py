"""Display thresholds of classes, and the probability that a detection is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from detkit.evaluation.curves import Matches
from detkit.structures import Detections
from detkit.structures.state import checked_state

ScoreKind = Literal["margin", "probability"]
Source = Literal["folds", "validation", "none"]

SHOWN_FROM: Mapping[str, float] = {"margin": 0.0, "probability": 0.5}
"""The least score that is shown where no threshold was learnt."""

MIN_DETECTIONS = 10
"""A class with fewer right or fewer wrong detections takes the curve of all classes together."""

LEAST_PROBABILITY = 1e-7
"""A classifier's probabilities are kept this far from 0 and 1, where log-odds are infinite."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """For each of K classes a display threshold, and the probability curve 1 / (1 + exp(a x + b)).

    x is the score if scores are margins, and the log-odds of the score if scores are probabilities.

    Args:
        thresholds: (K,) float32; a detection with this score or more is shown.
        a: (K,) float32, negative.
        b: (K,) float32.
        score_kind: "margin" or "probability".
        source: the detections that it was learnt from. "folds": on training images, by classifiers that have not
            learnt from the image. "validation": on validation images. "none": nothing was learnt.
    """

    thresholds: Tensor
    a: Tensor
    b: Tensor
    score_kind: ScoreKind
    source: Source

    @classmethod
    def none(cls, num_classes: int, score_kind: ScoreKind) -> Calibration:
        """The calibration if nothing was learnt: margins are shown from 0, and probabilities, unchanged, from 0.5."""
        thresholds = torch.full((num_classes,), SHOWN_FROM[score_kind])
        return cls(thresholds, torch.full((num_classes,), -1.0), torch.zeros(num_classes), score_kind, "none")

    @classmethod
    def fit(cls, matches: Sequence[Matches], score_kind: ScoreKind, source: Source) -> Calibration:
        """Learns from detections on images that the classifier has not learnt from.

        A class gets the curve and threshold of all classes together if it has fewer than ``MIN_DETECTIONS`` right or
        wrong detections, or if its better scores are not right more often. If the same holds for all classes together,
        nothing is learnt.

        Args:
            matches: the detections that count, for each class.
            score_kind: kind of their scores.
            source: "folds" or "validation".
        """
        joint = _fitted(_joined(matches), score_kind)
        if joint is None:
            return cls.none(len(matches), score_kind)
        columns = torch.tensor([_fitted(own, score_kind) or joint for own in matches], dtype=torch.float32)
        thresholds, a, b = columns.T.contiguous()
        return cls(thresholds, a, b, score_kind, source)

    def probability(self, scores: Tensor, labels: Tensor) -> Tensor | None:
        """(N,) float32 probability that each detection is right; None for margins without a learnt curve.

        Args:
            scores: (N,).
            labels: (N,) their classes.
        """
        if self.source == "none":
            return scores if self.score_kind == "probability" else None
        x = torch.from_numpy(_link(scores.numpy(), self.score_kind))
        return torch.sigmoid(-(self.a[labels] * x + self.b[labels])).float()

    def shown(self, found: Detections) -> Detections:
        """The detections that reach their class's threshold. Their scores become probabilities if these are known."""
        found = found[found.scores >= self.thresholds[found.labels]]
        known = self.probability(found.scores, found.labels)
        return found if known is None else replace(found, scores=known)

    def state(self) -> dict[str, Tensor]:
        """``thresholds``, ``a`` and ``b``, (K,) each."""
        return {"thresholds": self.thresholds, "a": self.a, "b": self.b}

    @classmethod
    def of(cls, state: Mapping[str, Tensor], num_classes: int, score_kind: ScoreKind, source: Source) -> Calibration:
        """The calibration with this ``state``.

        Raises:
            ModelError: if a tensor is missing, has another shape, or holds nan or infinite numbers.
        """
        shapes = dict.fromkeys(("thresholds", "a", "b"), (num_classes,))
        return cls(**checked_state("calibration", state, shapes), score_kind=score_kind, source=source)


def fit_platt(x: np.ndarray, hits: np.ndarray) -> tuple[float, float]:
    """A and b of the curve 1 / (1 + exp(a x + b)) that best fits the probability of a hit at x.

    It minimises cross-entropy by Newton's method with backtracking. Targets are (h + 1) / (h + 2) for the h hits and 1
    / (m + 2) for the m others, so that the curve stays finite even if all hits score above all others.
    Source: Platt, Probabilistic outputs for support vector machines, 1999; Lin, Lin and Weng, A note on Platt's
    probabilistic outputs, 2007, for the steps.

    Args:
        x: (N,) float64, finite.
        hits: (N,) bool.
    """
    num_hits, num_others = int(hits.sum()), int((~hits).sum())
    targets = np.where(hits, (num_hits + 1) / (num_hits + 2), 1 / (num_others + 2))
    columns = np.stack([x, np.ones_like(x)], 1)
    ab = np.array([0.0, np.log((num_others + 1) / (num_hits + 1))])

    def loss(ab: np.ndarray) -> float:
        f = columns @ ab
        return float((np.logaddexp(0, f) - (1 - targets) * f).sum())

    for _ in range(100):
        p = 1 / (1 + np.exp((columns @ ab).clip(-500, 500)))
        gradient = columns.T @ (targets - p)
        if np.abs(gradient).max() < 1e-6:
            break
        hessian = columns.T @ (columns * (p * (1 - p))[:, None]) + 1e-12 * np.eye(2)
        step = -np.linalg.solve(hessian, gradient)
        before, slope = loss(ab), gradient @ step
        while loss(ab + step) > before + 1e-4 * slope and np.abs(step).max() > 1e-10:
            step, slope = step / 2, slope / 2
        ab = ab + step
    return float(ab[0]), float(ab[1])


def expected_f1(probabilities: np.ndarray, num_truths: int) -> float:
    """The best expected F1 over all thresholds, from (N,) probabilities, best first.

    F1 of the n best detections is 2 (number right) / (n + truths).
    """
    counts = np.arange(1, len(probabilities) + 1)
    return float((2 * np.cumsum(probabilities) / (counts + num_truths)).max(initial=0.0))


def _fitted(own: Matches, score_kind: ScoreKind) -> tuple[float, float, float] | None:
    """Threshold, a and b; None for too few detections, or where a better score is not more often right.

    One more detection raises F1 while it is right with a probability above F1 / 2. So the threshold is where the curve
    crosses half of the best F1. Unlike the best of the N counted values it does not jump with single detections: of 10
    objects it loses .004 to .014 of F1, the counted one .023 to .040 (means over draws from three distributions).
    Source: Lipton, Elkan and Naryanaswamy, Optimal thresholding of classifiers to maximize F1 measure, 2014.
    """
    num_hits = int(own.hits.sum())
    if min(num_hits, len(own.hits) - num_hits) < MIN_DETECTIONS:
        return None
    x = _link(own.scores, score_kind)
    a, b = fit_platt(x, own.hits)
    if a >= 0:
        return None
    half = expected_f1(1 / (1 + np.exp((a * x + b).clip(-500, 500))), own.num_truths) / 2
    crossing = (np.log(1 / half - 1) - b) / a
    return float(crossing if score_kind == "margin" else 1 / (1 + np.exp(-crossing))), a, b


def _joined(matches: Sequence[Matches]) -> Matches:
    """The detections of all classes as those of one."""
    scores = np.concatenate([np.zeros(0), *(own.scores for own in matches)])
    hits = np.concatenate([np.zeros(0, bool), *(own.hits for own in matches)])
    best_first = np.argsort(-scores, kind="stable")
    return Matches.of(scores[best_first], hits[best_first], sum(own.num_truths for own in matches))


def _link(scores: np.ndarray, score_kind: ScoreKind) -> np.ndarray:
    """(N,) float64 x of the curve."""
    scores = scores.astype(np.float64)
    if score_kind == "margin":
        return scores
    s = scores.clip(LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    return np.log(s / (1 - s))
