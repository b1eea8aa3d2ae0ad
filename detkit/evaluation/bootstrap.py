"""How far mean AP would move on other test images: percentile intervals from images drawn anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from detkit.evaluation.curves import Matches
from detkit.system.seeding import rng_for

TOGETHER = 100
"""Draws whose curves are in memory at once."""

Measure = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(B,) AP of (N, B) recall and (N, B) precision: ``area_ap``, or ``grid_ap`` with its grid."""


@dataclass(frozen=True)
class Interval:
    """A figure on the test images as they are, and where 95 % of the draws lie.

    Args:
        value: on every image once.
        low: the 2.5 % quantile of the draws.
        high: the 97.5 % quantile.
    """

    value: float
    low: float
    high: float


def map_interval(matches: Sequence[Matches], measure: Measure, *, draws: int = 1000, seed: int = 0) -> Interval:
    """Mean AP with the interval of ``draws`` sets of as many test images, drawn with replacement.

    It says how much of a figure is the choice of test images. It says nothing of other training images or seeds.

    Args:
        matches: of each class, as ``VOC.matches`` gives them.
        measure: ``area_ap``, or ``grid_ap`` with its grid.
        draws: sets of images.
        seed: with the number of images, all that the draws depend on.

    Source: Efron, Bootstrap methods (1979), section 4; percentile interval.
    """
    return _interval(*(mean_aps(matches, measure, counts) for counts in _counts(matches, draws, seed)))


def paired_interval(
    first: Sequence[Matches], second: Sequence[Matches], measure: Measure, *, draws: int = 1000, seed: int = 0
) -> Interval:
    """How much higher the mean AP of the second run is than that of the first, both on the same draws.

    What makes an image hard for both cancels out, so this interval is narrower than those of the two runs suggest.

    Args:
        first: the matches of one run.
        second: those of another run on the same images, in the same order.
        measure: as for ``map_interval``.
        draws: likewise.
        seed: likewise.

    Raises:
        ValueError: the runs are of other images or other ground truths.
    """
    if len(first) != len(second) or not all(np.array_equal(a.truths, b.truths) for a, b in zip(first, second)):
        raise ValueError("the two runs were judged on other images or other ground truths; give two runs on one split")
    found = (mean_aps(second, measure, c) - mean_aps(first, measure, c) for c in _counts(first, draws, seed))
    return _interval(*found)


def mean_aps(matches: Sequence[Matches], measure: Measure, counts: np.ndarray) -> np.ndarray:
    """(B,) mean AP of each draw over the classes of which it holds a ground truth; not a number where it holds none.

    A draw equals the evaluator on these images in list order, where the copies of an image have each detection of one
    score side by side.

    Args:
        matches: of each class.
        measure: AP of many curves.
        counts: (B, I) integers, how often each draw holds each of the I images.
    """
    aps = np.stack([_aps(one, measure, counts) for one in matches])
    known = ~np.isnan(aps)
    with np.errstate(invalid="ignore"):
        means: np.ndarray = np.where(known, aps, 0).sum(0) / known.sum(0)
    return means


def _counts(matches: Sequence[Matches], draws: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(1, I) every image once, and (draws, I) how often each draw holds each image."""
    num_images = len(matches[0].truths)
    share = np.full(num_images, 1 / num_images)
    drawn = rng_for(seed, "bootstrap").multinomial(num_images, share, size=draws)
    return np.ones((1, num_images), np.int64), drawn


def _interval(value: np.ndarray, drawn: np.ndarray) -> Interval:
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return Interval(float(value[0]), float(low), float(high))


def _aps(matches: Matches, measure: Measure, counts: np.ndarray) -> np.ndarray:
    """(B,) AP of one class in each draw; not a number where the draw holds no ground truth of it.

    Only hits matter: a miss lowers the precision of all that follow, and no level of recall is reached by one.
    """
    truths = counts @ matches.truths
    hits = np.flatnonzero(matches.hits)
    if not len(hits):
        return np.where(truths, 0.0, np.nan)
    every = np.arange(hits[-1] + 1)
    up_to = (np.searchsorted(hits, every), matches.images[every])  # the first hit that a detection does not follow
    from scipy.sparse import csr_matrix  # slow to import, and few runs draw

    added = csr_matrix((np.ones(len(every), np.int32), up_to), (len(hits), counts.shape[1]))
    found = []
    for start in range(0, len(counts), TOGETHER):
        some = slice(start, start + TOGETHER)
        by_image = np.ascontiguousarray(counts[some].T, np.int32)  # four times as fast as int64
        seen, true = (added @ by_image).cumsum(0), by_image[matches.images[hits]].cumsum(0)
        found.append(measure(true / np.maximum(truths[some], 1), true / np.maximum(seen, 1)))
    return np.where(truths, np.concatenate(found), np.nan)
