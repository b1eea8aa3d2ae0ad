import numpy as np
import pytest

from detkit.errors import ConfigError, DataError
from detkit.regions.image_centric import ImageCentric

SQUARE, FAR = [0, 0, 10, 10], [50, 50, 60, 60]


@pytest.fixture
def index(make_index):
    """Images 0 and 2 have both kinds of region, image 2 a hundred times the background; 1 and 3 have one kind only."""
    both, crowded = ([SQUARE], [0], [FAR]), ([SQUARE] * 3, [1] * 3, [FAR] * 100)
    return make_index([both, ([], [], [FAR] * 9), crowded, ([SQUARE], [0], [])], 2)


def test_a_step_comes_from_few_images_background_first(index):
    rows = ImageCentric().draw(index, np.random.default_rng(0))
    assert len(rows) == 128 and set(index.image[rows]) == {0, 2}
    assert (index.label[rows[:96]] == 2).all() and (index.label[rows[96:]] < 2).all()


def test_every_image_gives_an_equal_share_of_each_kind(index):
    rows = ImageCentric().draw(index, np.random.default_rng(0))
    assert np.bincount(index.image[rows[:96]]).tolist() == [48, 0, 48]
    assert np.bincount(index.image[rows[96:]]).tolist() == [16, 0, 16]


def test_shares_that_do_not_divide_differ_by_one(index):
    rows = ImageCentric(batch_size=10, foreground_fraction=0.3).draw(index, np.random.default_rng(0))
    assert sorted(np.bincount(index.image[rows[:7]])[[0, 2]]) == [3, 4]
    assert sorted(np.bincount(index.image[rows[7:]])[[0, 2]]) == [1, 2]


def test_images_are_drawn_uniformly_however_many_regions_they_have(index):
    rng, sampler = np.random.default_rng(0), ImageCentric(images_per_batch=1, batch_size=4)
    first = [index.image[sampler.draw(index, rng)[0]] for _ in range(1000)]
    # 500 +- 5 deviations of a binomial
    assert abs(first.count(0) - 500) < 5 * np.sqrt(250)


def test_an_image_repeats_only_where_there_are_too_few(index):
    rows = ImageCentric(images_per_batch=3, batch_size=12).draw(index, np.random.default_rng(0))
    assert len(rows) == 12 and set(index.image[rows]) <= {0, 2}


def test_more_images_than_regions_is_an_error():
    with pytest.raises(ConfigError, match="IMAGES_PER_BATCH 5 is more than BATCH_SIZE 4"):
        ImageCentric(images_per_batch=5, batch_size=4)


def test_images_without_both_kinds_are_an_error(make_index):
    with pytest.raises(DataError, match="32 foreground and 96 background regions of the same images"):
        ImageCentric().draw(make_index([([], [], [FAR]), ([SQUARE], [0], [])], 1), np.random.default_rng(0))
