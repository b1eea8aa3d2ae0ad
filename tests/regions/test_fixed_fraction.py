import numpy as np
import pytest

from detkit.errors import DataError
from detkit.regions.fixed_fraction import FixedFraction

SQUARE, FAR = [0, 0, 10, 10], [50, 50, 60, 60]


@pytest.fixture
def index(make_index):
    """4 foreground and 10 background regions; one image has three quarters of the foreground."""
    return make_index([([SQUARE], [0], [SQUARE] * 2 + [FAR] * 4), ([SQUARE], [1], [FAR] * 6)], 2)


def test_a_step_holds_96_background_then_32_foreground_regions(index):
    labels = index.label[FixedFraction().draw(index, np.random.default_rng(0))]
    assert len(labels) == 128
    assert (labels[:96] == 2).all() and (labels[96:] < 2).all()


def test_the_foreground_share_is_rounded_down(index):
    labels = index.label[FixedFraction(batch_size=7, foreground_fraction=0.5).draw(index, np.random.default_rng(0))]
    assert (labels < 2).sum() == 3


def test_draws_are_uniform_over_the_regions_of_the_data_set(index):
    rng = np.random.default_rng(1)
    counts = np.bincount(np.concatenate([FixedFraction().draw(index, rng) for _ in range(500)]), minlength=len(index))
    # 500 steps: 16,000 foreground draws over 4 rows, 48,000 background draws over 10; 5 deviations of a binomial
    for rows, total in ((index.foreground_rows, 16000), (index.background_rows, 48000)):
        p = 1 / len(rows)
        assert np.abs(counts[rows] - total * p).max() < 5 * np.sqrt(total * p * (1 - p))


def test_ignored_regions_are_never_drawn(index):
    index.label[index.label == 2] = np.where(np.arange(10) < 5, -1, 2)
    rows = FixedFraction(batch_size=1000).draw(index, np.random.default_rng(0))
    assert (index.label[rows] >= 0).all()


@pytest.mark.parametrize(("fraction", "kind"), [(1.0, "foreground"), (0.0, "background")])
def test_a_kind_that_is_not_wanted_need_not_exist(make_index, fraction, kind):
    only = {"foreground": ([SQUARE], [0], []), "background": ([], [], [FAR])}[kind]
    rows = FixedFraction(batch_size=4, foreground_fraction=fraction).draw(
        make_index([only], 1), np.random.default_rng(0)
    )
    assert rows.tolist() == [0] * 4


def test_a_split_without_foreground_or_background_is_an_error_that_says_so(make_index):
    with pytest.raises(DataError, match="needs 32 foreground regions, but the split has none"):
        FixedFraction().draw(make_index([([], [], [FAR])], 1), np.random.default_rng(0))
    with pytest.raises(DataError, match="needs 96 background regions, but the split has none"):
        FixedFraction().draw(make_index([([SQUARE], [0], [])], 1), np.random.default_rng(0))
