"""Average precision that does not depend on how many objects a class has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class NormalizedAP:
    """AP and normalised AP of one class or of a part of its objects, with their standard errors.

    Source: Hoiem, Chodpathumwan and Dai, Diagnosing error in object detectors, 2012, section 3.1.

    Args:
        num_truths: number of objects that count.
        recall: the final recall.
        ap: mean over the found objects of the best precision at their recall or more, times the final recall.
        apn: the same with precision normalised to N objects.
        ap_error: standard error of ``ap``; nan for fewer than two objects.
        apn_error: standard error of ``apn``; nan for fewer than two objects.
    """

    num_truths: int
    recall: float
    ap: float
    apn: float
    ap_error: float
    apn_error: float


def normalized_ap(labels: np.ndarray, num_truths: int, normal: float) -> NormalizedAP:
    """Normalised AP of a ranking.

    Args:
        labels: (N,) of the detections, best first: 1 right, -1 wrong, 0 neither.
        num_truths: number of objects that count; with 0, all results are nan.
        normal: the number N of objects to which precision is normalised.
    """
    if not num_truths:
        return NormalizedAP(0, *([np.nan] * 5))
    hits = labels == 1
    true, false = np.cumsum(hits), np.cumsum(labels == -1)
    recall = float(true[-1] / num_truths) if len(true) else 0.0
    plain = _at_hits(true, false, hits)
    scaled = _at_hits(true * normal / num_truths, false, hits)
    missed = np.zeros(max(num_truths - int(hits.sum()), 0))
    return NormalizedAP(
        num_truths,
        recall,
        float(plain.mean()) * recall if len(plain) else 0.0,
        float(scaled.mean()) * recall if len(scaled) else 0.0,
        _error(np.concatenate([plain, missed]), num_truths),
        _error(np.concatenate([scaled, missed]), num_truths),
    )


def _at_hits(true: np.ndarray, false: np.ndarray, hits: np.ndarray) -> np.ndarray:
    """The best precision at each hit or beyond."""
    with np.errstate(invalid="ignore"):
        precision = np.nan_to_num(true / (true + false))  # before the first that counts it is 0 / 0
    best: np.ndarray = np.maximum.accumulate(precision[::-1])[::-1][hits]
    return best


def _error(values: np.ndarray, num_truths: int) -> float:
    return float(values.std(ddof=1) / np.sqrt(num_truths)) if len(values) > 1 else np.nan
