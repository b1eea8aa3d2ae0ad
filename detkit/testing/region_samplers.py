"""What every region sampler keeps."""

from __future__ import annotations

from typing import Any

import numpy as np

from detkit.config.schema import given_of
from detkit.errors import DataError
from detkit.regions.index import RegionIndex
from detkit.testing.expect import expect, expect_given, expect_raises, index_of


def _index() -> RegionIndex:
    image = ([[0, 0, 20, 20]], [1], [[1, 0, 20, 20], [60, 60, 90, 90], [40, 40, 60, 70], [0, 0, 20, 60]])
    return index_of([image, ([], [], [[5, 5, 50, 50]]), image, image], 2)


def the_builder_gives_nothing(make: Any) -> None:
    """Its parameters are config keys."""
    expect_given(make.component, given_of(make.component), set())


def draws_are_rows_that_can_be_learnt_from(make: Any) -> None:
    """(B,) int64 rows of the index with a label."""
    sampler, index, rng = make(), _index(), np.random.default_rng(0)
    for step in range(20):
        rows = sampler.draw(index, rng, iteration=step, seed=3)
        expect(rows.dtype == np.int64 and rows.ndim == 1 and len(rows), f"draw gave {rows.dtype} {rows.shape}")
        expect(rows.min() >= 0 and rows.max() < len(index), "draw gave a row that the index has not")
        expect((index.label[rows] >= 0).all(), "draw gave a row whose label is -1, ignore")


def draws_follow_the_generator(make: Any) -> None:
    """The same generator, the same rows; another, others."""
    sampler, index = make(), _index()
    first, _, again = (sampler.draw(index, np.random.default_rng(5), iteration=i, seed=3) for i in (4, 9, 4))
    expect(np.array_equal(first, again), "the same generator and step gave other rows")
    others = [sampler.draw(index, np.random.default_rng(s), iteration=4, seed=s) for s in range(6, 16)]
    expect(any(not np.array_equal(first, other) for other in others), "ten other generators gave the same rows")


def a_split_without_any_region_is_a_data_error(make: Any) -> None:
    """In one line."""
    empty = index_of([([], [], [])], 2)
    error = expect_raises(
        DataError, lambda: make().draw(empty, np.random.default_rng(0), iteration=0, seed=3), "draw from nothing"
    )
    expect("\n" not in str(error), "the message has several lines")


CHECKS = (
    the_builder_gives_nothing,
    draws_are_rows_that_can_be_learnt_from,
    draws_follow_the_generator,
    a_split_without_any_region_is_a_data_error,
)
