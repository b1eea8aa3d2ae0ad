"""Every registered region sampler against the interface."""

import numpy as np
import pytest

from detkit.components import load_components
from detkit.config.schema import given_of
from detkit.errors import DataError
from detkit.regions.base import RegionSampler
from detkit.registry import REGION_SAMPLERS

load_components()


@pytest.fixture(params=REGION_SAMPLERS.names())
def sampler(request):
    return REGION_SAMPLERS.get(request.param)()


@pytest.fixture
def index(make_index):
    image = ([[0, 0, 20, 20]], [1], [[1, 0, 20, 20], [60, 60, 90, 90], [40, 40, 60, 70]])
    return make_index([image, ([], [], [[5, 5, 50, 50]]), image, image], 2)


def test_the_builder_gives_nothing(sampler):
    assert isinstance(sampler, RegionSampler)
    assert given_of(type(sampler)) == set()


def test_every_draw_has_the_same_length_and_learnable_labels(sampler, index):
    rng = np.random.default_rng(0)
    draws = [sampler.draw(index, rng) for _ in range(20)]
    assert len({len(rows) for rows in draws}) == 1
    for rows in draws:
        assert rows.dtype == np.int64 and rows.min() >= 0 and rows.max() < len(index)
        assert (index.label[rows] >= 0).all()


def test_draws_follow_the_generator(sampler, index):
    first, again, other = (sampler.draw(index, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_a_split_without_any_region_is_an_error(sampler, make_index):
    with pytest.raises(DataError, match=r"fine-tuning: .*check (its|the) annotations"):
        sampler.draw(make_index([([], [], [])], 2), np.random.default_rng(0))
