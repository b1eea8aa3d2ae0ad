import numpy as np
import pytest

from detkit.errors import DataError
from detkit.regions.uniform import Uniform

SQUARE, FAR = [0, 0, 10, 10], [50, 50, 60, 60]


@pytest.fixture
def index(make_index):
    """4 foreground and 12 background regions, one of which is ignored."""
    index = make_index([([SQUARE], [0], [SQUARE] + [FAR] * 5), ([SQUARE], [1], [SQUARE] + [FAR] * 7)], 2)
    index.label[3] = -1
    return index


def test_every_region_with_a_label_is_drawn_as_often_as_any_other(index):
    rng = np.random.default_rng(1)
    drawn = np.concatenate([Uniform().draw(index, rng) for _ in range(500)])
    counts = np.bincount(drawn, minlength=len(index))
    assert len(drawn) == 500 * 128 and counts[3] == 0
    # 64,000 draws over 15 rows; 5 deviations of a binomial
    assert np.abs(np.delete(counts, 3) - 64000 / 15).max() < 5 * np.sqrt(64000 / 15 * 14 / 15)


def test_foreground_has_its_natural_share(index):
    labels = index.label[Uniform(batch_size=60000).draw(index, np.random.default_rng(0))]
    # 4 of 15, not a quarter: they are 4 deviations of 111 apart
    assert abs((labels < 2).sum() - 16000) < 500


@pytest.mark.parametrize(("image", "label"), [(([SQUARE], [0], []), 0), (([], [], [FAR]), 1)])
def test_one_kind_alone_is_enough(make_index, image, label):
    index = make_index([image], 1)
    assert index.label[Uniform(batch_size=3).draw(index, np.random.default_rng(0))].tolist() == [label] * 3


def test_a_split_without_any_label_is_an_error_that_says_so(index):
    index.label[:] = -1
    with pytest.raises(DataError, match="no foreground and no background region; check its annotations and proposals"):
        Uniform().draw(index, np.random.default_rng(0))
