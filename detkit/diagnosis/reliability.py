"""Whether probabilities of detections agree with how often they are right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detkit.diagnosis.matching import voc_verdicts
from detkit.diagnosis.outcome import Outcome


@dataclass(frozen=True, eq=False)
class Reliability:
    """Bins of equal width over the probability. A bin includes its upper edge; the first one also includes 0.

    Args:
        edges: (B + 1,) float64 from 0 to 1.
        counts: (B,) int64 number of detections.
        confidence: (B,) their mean probability; nan in an empty bin.
        accuracy: (B,) the share of right detections; nan in an empty bin.
        ece: expected calibration error, the mean of |accuracy - confidence| over the detections; None without any.
        mce: the largest |accuracy - confidence| of a bin.
    """

    edges: np.ndarray
    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    ece: float | None
    mce: float | None


def scores_as_probabilities(outcome: Outcome) -> np.ndarray | None:
    """(D,) the scores if all are from 0 to 1; None if not, or if there are none."""
    scores = outcome.det_scores
    return scores if len(scores) and scores.min() >= 0 and scores.max() <= 1 else None


def reliability(
    outcome: Outcome, probabilities: np.ndarray, bins: int = 10, iou: float = 0.5, *, strict: bool = False
) -> Reliability:
    """Compares the probabilities of all detections that count with how often these are right, by VOC's matching.

    Source: Guo, Pleiss, Sun, Weinberger, On calibration of modern neural networks, 2017, eqs. 2-3.

    Args:
        outcome: detections and ground truths.
        probabilities: (D,) from 0 to 1.
        bins: B.
        iou: smallest IoU of a right detection.
        strict: whether the overlap must exceed ``iou``.

    Raises:
        ValueError: if a probability is not from 0 to 1.
    """
    if len(probabilities) and not (probabilities.min() >= 0 and probabilities.max() <= 1):
        raise ValueError(
            f"reliability: expected probabilities from 0 to 1, got {probabilities.min()} to {probabilities.max()}"
        )
    verdicts = voc_verdicts(outcome, iou, strict=strict)
    counted = ~verdicts.ignored
    given, right = probabilities[counted].astype(np.float64), verdicts.right[counted]
    edges = np.linspace(0, 1, bins + 1)
    place = np.searchsorted(edges[1:-1], given)
    counts = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        confidence = np.bincount(place, given, minlength=bins) / counts
        accuracy = np.bincount(place, right, minlength=bins) / counts
    gaps = np.abs(accuracy - confidence)[counts > 0]
    if not len(gaps):
        return Reliability(edges, counts, confidence, accuracy, None, None)
    ece = float((gaps * counts[counts > 0]).sum() / counts.sum())
    return Reliability(edges, counts, confidence, accuracy, ece, float(gaps.max()))
