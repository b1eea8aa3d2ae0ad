import numpy as np
import pytest
import torch

from detkit.classifiers.examples import ExampleRules, draw_negatives
from detkit.errors import ConfigError

SQUARE, CLOSE, LOW, FAR = [0, 0, 20, 20], [0, 0, 20, 14], [0, 0, 20, 8], [60, 60, 90, 90]


@pytest.fixture
def index(make_index):
    """IoU with the truth: CLOSE .7, LOW .4, FAR 0; the second image holds nothing, the third another class."""
    first = ([SQUARE], [0], [CLOSE, LOW, FAR])
    return make_index([first, ([], [], [FAR]), ([SQUARE, FAR], [1, 0], [CLOSE, FAR])], 2)


def test_positives_are_the_truths_unless_an_overlap_is_given(index):
    rows, labels = ExampleRules().positives(index)
    assert (rows.tolist(), labels.tolist()) == ([0, 5, 6], [0, 1, 0])


@pytest.mark.parametrize(
    ("iou", "expected"),
    [(0.4, ([0, 1, 2, 5, 6, 7, 8], [0, 0, 0, 1, 0, 1, 0])), (0.5, ([0, 1, 5, 6, 7, 8], [0, 0, 1, 0, 1, 0]))],
)
def test_positives_by_overlap_have_the_class_of_the_truth_that_they_overlap(index, iou, expected):
    rows, labels = ExampleRules(positive_iou=iou).positives(index)
    assert (rows.tolist(), labels.tolist()) == expected


def test_positives_of_no_image():
    empty = type("Empty", (), {"num_images": 0, "offsets": np.zeros(1, np.int64)})
    rows, labels = ExampleRules(positive_iou=0.5).positives(empty)
    assert len(rows) == len(labels) == 0


def test_negatives_do_not_change_with_the_positives(index):
    for image in range(3):
        plain, loose = (ExampleRules(iou).negatives(index)(image) for iou in (None, 0.5))
        assert torch.equal(plain, loose)


def test_a_region_of_both_sides_is_refused():
    with pytest.raises(
        ConfigError, match=r"POSITIVE_IOU 0.2 is below NEGATIVE_IOU 0.3: a region would be positive and"
    ):
        ExampleRules(positive_iou=0.2)
    assert ExampleRules(positive_iou=0.3).negative_iou == 0.3


def test_drawn_negatives_are_some_of_all_images_and_none_twice(index):
    # negatives of class 0: row 3 of the first image, 4 of the second, 5 and 7 of the third; of class 1 all of the
    # first image, 4, 6 and 8
    allowed = [{3, 4, 5, 7}, {0, 1, 2, 3, 4, 6, 8}]
    every = draw_negatives(index, ExampleRules().negatives(index), (100, 100), np.random.default_rng(0))
    assert [rows.tolist() for rows in every] == [sorted(own) for own in allowed]
    for count in ((2, 3), (0, 1), (0, 0)):
        drawn = draw_negatives(index, ExampleRules().negatives(index), count, np.random.default_rng(0))
        assert tuple(map(len, drawn)) == count
        assert all(set(rows.tolist()) <= own for rows, own in zip(drawn, allowed))
        assert all((np.diff(rows) > 0).all() and rows.dtype == np.int64 for rows in drawn)


def test_draws_are_uniform_over_all_negatives_of_a_class(index):
    rng, negatives = np.random.default_rng(0), [ExampleRules().negatives(index)(image) for image in range(3)]
    drawn = [draw_negatives(index, negatives.__getitem__, (2, 3), rng) for _ in range(800)]
    for k, (total, share) in enumerate(((4, 2 / 4), (7, 3 / 7))):
        counts = np.bincount(np.concatenate([own[k] for own in drawn]), minlength=9)
        # each of its negatives in its share of 800 draws; 5 deviations of a binomial
        assert np.abs(counts[counts > 0] - 800 * share).max() < 5 * np.sqrt(800 * share * (1 - share))
        assert (counts > 0).sum() == total
