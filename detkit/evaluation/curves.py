"""Recall, precision and the average precision of one curve or of many at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Matches:
    """The detections of one class that count, best first.

    Args:
        scores: (N,) float64.
        hits: (N,) bool, True if the detection finds a ground truth.
        images: (N,) int64, number of the image, from 0 in the order of adding.
        truths: (I,) int64, number of ground truths to be found in each image.
    """

    scores: np.ndarray
    hits: np.ndarray
    images: np.ndarray
    truths: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray, hits: np.ndarray, num_truths: int) -> Matches:
        """Matches for uses that do not need the images of detections."""
        return cls(scores, hits, np.zeros(len(hits), np.int64), np.array([num_truths], np.int64))

    @property
    def num_truths(self) -> int:
        """The number of ground truths to be found in all images."""
        return int(self.truths.sum())

    def curve(self) -> tuple[np.ndarray, np.ndarray]:
        """(N,) recall and (N,) precision after each detection."""
        true = np.cumsum(self.hits)
        return true / self.num_truths, true / np.arange(1, len(self.hits) + 1)

    def f1(self, threshold: float) -> float:
        """F1 of the detections with this score or more; 0 if there are neither detections nor ground truths."""
        counts = self.scores >= threshold
        return float(2 * self.hits[counts].sum() / max(counts.sum() + self.num_truths, 1))

    def best_f1_threshold(self) -> float:
        """The threshold of highest F1; infinity if no detection is right."""
        f1 = 2 * np.cumsum(self.hits) / (np.arange(1, len(self.hits) + 1) + self.num_truths)
        last_of_its_score = np.diff(self.scores, append=-np.inf) != 0
        return float(self.scores[np.argmax(f1 * last_of_its_score)]) if self.hits.any() else np.inf


def grid_ap(recall: np.ndarray, precision: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """The mean, over the grid, of the best precision at this recall or more. Source: VOC2007 development kit.

    Args:
        recall: (N,) of one curve, or (N, B) of B curves; never falls.
        precision: (N,) of one curve, or (N, B) of B curves.
        grid: levels of recall.

    Returns:
        () or (B,) float64.
    """
    best = np.concatenate([_envelope(precision), np.zeros((1, *precision.shape[1:]))])
    reached = np.stack([(recall < level).sum(0) for level in grid])
    found: np.ndarray = np.take_along_axis(best, reached, 0).mean(0)
    return found


def area_ap(recall: np.ndarray, precision: np.ndarray) -> np.ndarray:
    """The area under the precision envelope, which never rises. Source: VOC2010 development kit.

    Args:
        recall: (N,) of one curve, or (N, B) of B curves; never falls.
        precision: (N,) of one curve, or (N, B) of B curves.

    Returns:
        () or (B,) float64.
    """
    found: np.ndarray = (np.diff(recall, axis=0, prepend=0.0) * _envelope(precision)).sum(0)
    return found


def nan_mean(values: np.ndarray) -> np.ndarray:
    """The mean over the first axis of all values but nan; nan if there are none."""
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        mean: np.ndarray = np.where(known, values, 0).sum(0) / known.sum(0)
    return mean


def _envelope(precision: np.ndarray) -> np.ndarray:
    """The best precision at each point or beyond."""
    envelope: np.ndarray = np.maximum.accumulate(precision[::-1])[::-1]
    return envelope
