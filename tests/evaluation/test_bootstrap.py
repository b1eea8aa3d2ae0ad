"""Intervals against the evaluator itself, run on every draw, and against known spreads."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from detkit.evaluation.bootstrap import Curves, ap_intervals, map_interval, mean_aps, paired_aps, paired_interval
from detkit.evaluation.curves import Matches, area_ap, grid_ap
from detkit.evaluation.voc import GRIDS, VOC
from detkit.structures import Annotations, Boxes, Detections, Sample

CLASSES = ("cat", "dog", "cow")
VOC07 = partial(grid_ap, grid=GRIDS["numpy"])


def matched(hits, images, truths):
    """Matches from the best to the worst."""
    return Matches(-np.arange(len(hits), dtype=float), hits, images, truths)


def scenes(num_images, seed=0, skill=2.0):
    """(sample, detections) pairs: crowded squares, difficult ones among them, and boxes near them and elsewhere."""
    rng = np.random.default_rng(seed)
    pairs = []
    for i in range(num_images):
        corners = rng.uniform(0, 60, (rng.integers(0, 4), 2))
        truths = np.hstack([corners, corners + 20])
        labels = rng.integers(0, 2 if i else 3, len(truths))  # cows in the first image alone
        others = rng.uniform(0, 40, (2, 4)) + np.array([0, 0, 40, 40])
        boxes = np.vstack([truths + rng.normal(0, 2, truths.shape), truths, others])
        found = np.concatenate([labels, labels, rng.integers(0, 3, 2)])
        scores = np.concatenate([rng.normal(skill, 1, 2 * len(truths)), rng.normal(0, 1, 2)])
        annotations = Annotations.of(Boxes.of(truths), labels, rng.random(len(truths)) < 0.2)
        sample = Sample(f"{i}", Path("a.jpg"), (100, 100), annotations)
        pairs.append((sample, Detections.of(Boxes.of(boxes), scores.tolist(), found.tolist())))
    return pairs


def judged(pairs, **settings):
    voc = VOC(class_names=CLASSES, **settings)
    for sample, detections in pairs:
        voc.add(sample, detections)
    return voc


def slowly(pairs, counts):
    """mAP by VOC2007 and VOC2010 of the images of one draw, each added as often as it was drawn."""
    metrics = judged([pair for pair, n in zip(pairs, counts, strict=True) for _ in range(n)]).compute()
    return metrics["VOC07"]["mAP"], metrics["VOC10"]["mAP"]


def test_every_draw_equals_the_evaluator_on_its_images():
    pairs = scenes(12)
    matches = judged(pairs).matches(0.5)
    counts = np.random.default_rng(1).multinomial(12, np.full(12, 1 / 12), size=105)  # more than are worked on together
    expected = np.array([slowly(pairs, one) for one in counts])
    np.testing.assert_allclose(mean_aps(matches, VOC07, counts), expected[:, 0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(mean_aps(matches, area_ap, counts), expected[:, 1], rtol=0, atol=1e-12)
    assert len(np.unique(expected[:, 1].round(6))) > 90
    assert 0 < (counts[:, 0] == 0).sum() < 105  # some draws lack the only image with cows, whose class is left out


def test_the_interval_is_that_of_the_draws():
    pairs = scenes(25)
    voc = judged(pairs, draws=300)
    found = voc.compute()
    interval = map_interval(voc.matches(0.5), VOC07, draws=300)
    assert found["VOC07"]["interval"] == [interval.low, interval.high]
    assert interval.value == pytest.approx(found["VOC07"]["mAP"], abs=1e-12)
    assert 0 < interval.low < interval.value < interval.high < 1
    assert found["VOC10"]["interval"] != found["VOC07"]["interval"]


def test_intervals_of_classes_stand_beside_that_of_their_mean():
    matches = judged(scenes(25)).matches(0.5)
    by_class, mean = ap_intervals([*matches, matched(np.zeros(0, bool), np.zeros(0, int), np.zeros(25, int))], VOC07)
    assert mean == map_interval(matches, VOC07) and by_class[3] is None
    assert by_class[:3] == [map_interval([own], VOC07) for own in matches]


def test_by_hand_two_images_of_one_object_each():
    # One is found, the other is not: AP 1/2 by area. Of the draws 1/4 hold only the first, 1/4 only the second.
    matches = [matched(np.array([True]), np.array([0]), np.array([1, 1]))]
    counts = np.array([[2, 0], [1, 1], [0, 2]])
    assert mean_aps(matches, area_ap, counts).tolist() == [1, 0.5, 0]
    interval = map_interval(matches, area_ap)
    assert (interval.value, interval.low, interval.high) == (0.5, 0, 1)


def test_a_seed_fixes_the_interval_and_another_moves_it():
    matches = judged(scenes(25)).matches(0.5)
    first = map_interval(matches, VOC07, draws=100)
    assert first == map_interval(matches, VOC07, draws=100)
    assert first != map_interval(matches, VOC07, draws=100, seed=1)


def test_draws_without_any_ground_truth_are_left_out():
    matches = [matched(np.array([True]), np.array([1]), np.array([0, 1]))]
    assert np.isnan(mean_aps(matches, area_ap, np.array([[2, 0]]))).all()
    interval = map_interval(matches, area_ap)
    assert (interval.low, interval.high) == (1, 1)


def test_a_class_without_hits_counts_as_nought():
    nothing = np.zeros(0, np.int64)
    matches = [
        matched(np.array([True]), np.array([0]), np.array([1])),
        matched(nothing.astype(bool), nothing, np.array([1])),
    ]
    assert mean_aps(matches, area_ap, np.array([[1]])).tolist() == [0.5]


def test_a_run_does_not_differ_from_itself_and_pairs_are_narrower():
    one, other = (judged(scenes(60, skill=s)).matches(0.5) for s in (1.0, 1.5))
    same = paired_interval(one, one, area_ap, draws=100)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    difference = paired_interval(one, other, area_ap, draws=500)
    alone = [map_interval(m, area_ap, draws=500) for m in (one, other)]
    assert difference.value == pytest.approx(alone[1].value - alone[0].value)
    assert difference.low < difference.value < difference.high
    assert difference.high - difference.low < 0.8 * sum(i.high - i.low for i in alone)


def test_each_class_has_the_interval_that_it_has_alone():
    one, other = (judged(scenes(40, skill=s)).matches(0.5) for s in (1.0, 1.5))
    found = paired_aps(Curves([one], area_ap), Curves([other], area_ap), draws=200)
    for k in range(2):
        alone = paired_interval([one[k]], [other[k]], area_ap, draws=200)
        assert found.classes[k].difference == alone
        assert found.classes[k].first == pytest.approx(area_ap(*one[k].curve()))
        assert found.classes[k].second == pytest.approx(area_ap(*other[k].curve()))
    assert found.mean.difference == paired_interval(one, other, area_ap, draws=200)


def test_a_class_without_ground_truth_has_no_interval_and_two_thresholds_are_averaged():
    nothing = np.zeros(0, np.int64)
    found = matched(np.array([True]), np.array([0]), np.array([1, 1]))  # AP 1/2 by area
    better = matched(np.array([True, True]), np.array([0, 1]), np.array([1, 1]))  # AP 1
    none = matched(nothing.astype(bool), nothing, np.array([0, 0]))
    first, second = Curves([[found, none], [found, none]], area_ap), Curves([[found, none], [better, none]], area_ap)
    aps = paired_aps(first, second, draws=50)
    assert aps.classes[1] is None
    assert (aps.classes[0].first, aps.classes[0].second, aps.mean.difference.value) == (0.5, 0.75, 0.25)


def test_runs_on_other_images_make_no_pair():
    one, other = (judged(scenes(n)).matches(0.5) for n in (20, 21))
    with pytest.raises(ValueError, match="other images or other ground truths; give two runs on one split"):
        paired_interval(one, other, area_ap)


def test_the_spread_is_the_binomials():
    # One object an image, 70 of 100 found and nothing else: AP by area is the share that is found. The deviation of
    # the mean is sqrt(0.7 * 0.3 / 100) = 0.0458, times 1.96 0.0898
    matches = [matched(np.ones(70, bool), np.arange(70), np.ones(100, np.int64))]
    interval = map_interval(matches, area_ap, draws=4000)
    assert interval.low == pytest.approx(0.7 - 0.0898, abs=0.011)
    assert interval.high == pytest.approx(0.7 + 0.0898, abs=0.011)


def test_intervals_are_plain_json():
    assert len(json.loads(json.dumps(judged(scenes(5), draws=10).compute()))["VOC07"]["interval"]) == 2
