"""How often the bootstrap's 95 % interval holds the AP of the population that the test images are drawn from."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from detkit.evaluation.bootstrap import Curves, class_aps, map_interval, paired_aps
from detkit.evaluation.curves import Matches, area_ap, grid_ap
from detkit.evaluation.voc import GRIDS

POPULATION, TEST_IMAGES = 20_000, 200
VOC07 = partial(grid_ap, grid=GRIDS["numpy"])
EVERY = np.ones((1, POPULATION), np.int64)


def population(skills, classes=3):
    """For each detector the matches of each class on all images, best first.

    Both see the same images. Some are hard: their objects score less and more is found there by mistake, so what
    happens to the detections of one image goes together, and what happens to two detectors on one image, too.
    """
    rng = np.random.default_rng(0)
    detectors = [[] for _ in skills]
    for k in range(classes):
        truths = rng.poisson(0.8, POPULATION)
        hardness = rng.normal(0, 0.7, POPULATION)
        objects = np.repeat(np.arange(POPULATION), truths)
        for own, skill in zip(detectors, skills, strict=True):
            found = objects[rng.random(len(objects)) < 0.75]
            wrong = np.repeat(np.arange(POPULATION), rng.poisson(1.2 * np.exp(0.3 * hardness)))
            scores = np.concatenate([rng.normal(skill + 0.3 * k - hardness[found]), rng.normal(size=len(wrong))])
            hits, images = np.arange(len(scores)) < len(found), np.concatenate([found, wrong])
            own.append(best_first(scores, hits, images, truths))
    return detectors


def best_first(scores, hits, images, truths):
    order = np.argsort(-scores, kind="stable")
    return Matches(scores[order], hits[order], images[order], truths)


class Population:
    """The matches of one detector on all images, and test sets of it."""

    def __init__(self, matches):
        self.matches = matches
        self.by_image = [np.argsort(own.images, kind="stable") for own in matches]

    def curves(self, images, measure):
        """On some of the images, numbered anew; one may stand there several times."""
        found = []
        for own, by_image in zip(self.matches, self.by_image, strict=True):
            starts, ends = np.searchsorted(own.images, [images, images + 1], sorter=by_image)
            rows = np.concatenate([by_image[start:end] for start, end in zip(starts, ends, strict=True)])
            places = np.repeat(np.arange(len(images)), ends - starts)
            found.append(best_first(own.scores[rows], own.hits[rows], places, own.truths[images]))
        return Curves([found], measure)

    def true_aps(self, measure):
        """(C,) AP on all images."""
        return class_aps(self.matches, measure, EVERY)[:, 0]


def coverage(measure, runs, draws):
    """Shares of the test sets whose intervals hold the figure of all images.

    Those of mAP, of the difference of two mAP, of the difference in the first class, and of mAP with half the width.
    """
    first, second = map(Population, population((1.0, 1.3)))
    one, other = (own.true_aps(measure) for own in (first, second))
    rng = np.random.default_rng(1)
    held = []
    for run in range(runs):
        images = rng.integers(0, POPULATION, TEST_IMAGES)
        curves = [own.curves(images, measure) for own in (first, second)]
        alone = map_interval(curves[0].matches[0], measure, draws=draws, seed=run)
        paired = paired_aps(*curves, draws=draws, seed=run)
        within = [(alone, one.mean()), (paired.mean.difference, (other - one).mean())]
        within.append((paired.classes[0].difference, (other - one)[0]))
        own = [interval.low <= figure <= interval.high for interval, figure in within]
        held.append([*own, abs(alone.value - one.mean()) <= (alone.high - alone.low) / 4])
    return np.mean(held, 0)


def test_95_percent_intervals_hold_the_figure_of_the_population():
    # 40 test sets: three deviations of a share of 0.95 are 0.10, of the 0.67 that half the width would hold 0.22
    *held, half = coverage(area_ap, runs=40, draws=100)
    assert min(held) >= 0.88
    assert half < 0.88


@pytest.mark.soak
@pytest.mark.parametrize("measure", [VOC07, area_ap], ids=["VOC07", "VOC10"])
def test_intervals_of_200_test_sets_hold_it_in_90_to_98_percent(measure):
    *held, half = coverage(measure, runs=200, draws=1000)
    assert 0.90 <= min(held) and max(held) <= 0.98, held
    assert half < 0.75
