"""Bootstrap intervals of mean AP: how much it depends on the choice of test images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from detkit.evaluation.curves import Matches, nan_mean
from detkit.system.seeding import rng_for

DRAWS = 1000
"""Sets of test images of an interval where no other number is asked for."""
TOGETHER = 100
"""Draws whose curves are in memory at once."""

Measure = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(B,) AP of (N, B) recall and (N, B) precision: ``area_ap``, or ``grid_ap`` with its grid."""


@dataclass(frozen=True)
class Interval:
    """A figure on the test images, and the interval that holds 95 % of its values on the draws.

    Args:
        value: the figure on every image once.
        low: the 2.5 % quantile of the draws.
        high: the 97.5 % quantile.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Curves:
    """The data of one AP by class.

    Args:
        matches: the matches of each class, for each IoU threshold; the AP of a class is the mean over the thresholds.
        measure: computes AP of many curves.
    """

    matches: Sequence[Sequence[Matches]]
    measure: Measure


@dataclass(frozen=True)
class Paired:
    """A figure of two runs.

    Args:
        first: the figure of the first run.
        second: the figure of the second run.
        difference: second minus first.
    """

    first: float
    second: float
    difference: Interval


@dataclass(frozen=True)
class PairedAPs:
    """The AP of two runs.

    Args:
        mean: the mean AP.
        classes: the AP of each class; None for a class without a ground truth.
    """

    mean: Paired
    classes: tuple[Paired | None, ...]


def map_interval(matches: Sequence[Matches], measure: Measure, *, draws: int = DRAWS, seed: int = 0) -> Interval:
    """Mean AP with its 95 % interval over ``draws`` sets of as many test images, drawn with replacement.

    The interval shows how much the figure depends on the choice of test images. It does not show how much it depends
    on training images or seeds.

    Args:
        matches: matches of each class, as from ``VOC.matches``.
        measure: ``area_ap``, or ``grid_ap`` with its grid.
        draws: number of sets of images.
        seed: fixes the draws, together with the number of images.

    Source: Efron, Bootstrap methods (1979), section 4; percentile interval.
    """
    truths = [one.truths for one in matches]
    every, drawn = (mean_aps(matches, measure, counts) for counts in _counts(truths, draws, seed))
    return percentile_interval(every[0], drawn)


def ap_intervals(
    matches: Sequence[Matches], measure: Measure, *, draws: int = DRAWS, seed: int = 0
) -> tuple[list[Interval | None], Interval]:
    """AP of each class with its interval, None for a class without a ground truth, and the result of ``map_interval``.

    Args:
        matches: matches of each class; at least one class has a ground truth.
        measure: as for ``map_interval``.
        draws: as for ``map_interval``.
        seed: as for ``map_interval``.
    """
    truths = [one.truths for one in matches]
    every, drawn = (class_aps(matches, measure, counts) for counts in _counts(truths, draws, seed))
    by_class = [
        percentile_interval(one[0], many) if own.num_truths else None for own, one, many in zip(matches, every, drawn)
    ]
    return by_class, percentile_interval(nan_mean(every)[0], nan_mean(drawn))


def paired_interval(
    first: Sequence[Matches], second: Sequence[Matches], measure: Measure, *, draws: int = DRAWS, seed: int = 0
) -> Interval:
    """The mean AP of the second run minus that of the first, at one threshold, with its interval.

    Args:
        first: matches of each class in the first run.
        second: matches in the second run, on the same images in the same order.
        measure: as for ``map_interval``.
        draws: as for ``map_interval``.
        seed: as for ``map_interval``.

    Raises:
        ValueError: if the runs differ in images or ground truths.
    """
    return paired_aps(Curves([first], measure), Curves([second], measure), draws=draws, seed=seed).mean.difference


def paired_aps(first: Curves, second: Curves, *, draws: int = DRAWS, seed: int = 0) -> PairedAPs:
    """The AP of two runs and their difference, on the same draws.

    Images that are hard for both runs cancel out, so these intervals are narrower than those of the two runs suggest.

    Raises:
        ValueError: if the runs differ in images or ground truths.
    """
    truths = [[one.truths for one in curves.matches[0]] for curves in (first, second)]
    if len(truths[0]) != len(truths[1]) or not all(map(np.array_equal, *truths)):
        raise ValueError("the two runs were judged on other images or other ground truths; give two runs on one split")
    counts = _counts(truths[0], draws, seed)
    one, other = ([_mean_of(curves, some) for some in counts] for curves in (first, second))
    of_classes = (
        _paired([v[k] for v in one], [v[k] for v in other]) if own.any() else None for k, own in enumerate(truths[0])
    )
    return PairedAPs(_paired(*([nan_mean(v) for v in values] for values in (one, other))), tuple(of_classes))


def _paired(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> Paired:
    """The paired intervals of (1,) figures on every image once and (B,) figures of the draws."""
    (value, drawn), (other, drawn_other) = first, second
    return Paired(float(value[0]), float(other[0]), percentile_interval((other - value)[0], drawn_other - drawn))


def _mean_of(curves: Curves, counts: np.ndarray) -> np.ndarray:
    """(C, B) AP of each class in each draw, over all thresholds."""
    found: np.ndarray = np.mean([class_aps(own, curves.measure, counts) for own in curves.matches], 0)
    return found


def mean_aps(matches: Sequence[Matches], measure: Measure, counts: np.ndarray) -> np.ndarray:
    """(B,) mean AP of each draw over the classes with a ground truth in it; nan if there is no such class.

    The result equals that of the evaluator on the drawn images in list order, with the detections of one score in the
    copies of an image side by side.

    Args:
        matches: matches of each class.
        measure: computes AP of many curves.
        counts: (B, I) integers, number of copies of each of the I images in each draw.
    """
    return nan_mean(class_aps(matches, measure, counts))


def class_aps(matches: Sequence[Matches], measure: Measure, counts: np.ndarray) -> np.ndarray:
    """(C, B) AP of each class in each draw; nan if a draw holds no ground truth of the class.

    Args:
        matches: matches of each of C classes.
        measure: computes AP of many curves.
        counts: (B, I) integers, number of copies of each of the I images in each draw.
    """
    return np.stack([_aps(one, measure, counts) for one in matches])


def image_draws(num_images: int, *, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """(draws, I) int64: number of copies of each image in each draw of I images with replacement."""
    share = np.full(num_images, 1 / num_images)
    drawn: np.ndarray = rng_for(seed, "bootstrap").multinomial(num_images, share, size=draws)
    return drawn


def percentile_interval(value: float, drawn: np.ndarray) -> Interval:
    """A figure with the limits of the middle 95 % of its (B,) values on the draws; nan values are left out."""
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return Interval(float(value), float(low), float(high))


def _counts(truths: Sequence[np.ndarray], draws: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(1, I) every image once, and the draws of the images."""
    num_images = len(truths[0])
    return np.ones((1, num_images), np.int64), image_draws(num_images, draws=draws, seed=seed)


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
