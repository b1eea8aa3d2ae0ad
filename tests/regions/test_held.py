import numpy as np
import pytest
import torch

from detkit.regions import held
from detkit.regions.held import HeldRows

FAR = [50, 50, 60, 60]


@pytest.fixture
def source(make_index, array_source):
    """Images of 3, 0, 5 and 1 regions."""
    index = make_index([([], [], [FAR] * n) for n in (3, 0, 5, 1)], 1)
    return array_source(index, np.random.default_rng(0).random((9, 2)))


def test_rows_are_those_of_the_source_in_any_order_and_read_once(source):
    rows = np.array([1, 2, 4, 7, 8])
    expected = source.take(np.array([8, 2, 4]))
    source.sweeps.clear()
    held_rows = HeldRows(source, rows)
    for _ in range(2):
        assert torch.equal(held_rows.take(np.array([8, 2, 4])), expected)
    assert source.sweeps == ["take"]


def test_no_rows_are_legal(source):
    assert HeldRows(source, np.zeros(0, np.int64)).take(np.zeros(0, np.int64)).shape == (0, 2)


def test_parts_are_of_whole_images(source, monkeypatch):
    monkeypatch.setattr(held, "PART", 2)
    asked, take = [], source.take
    source.take = lambda rows: asked.append(rows.tolist()) or take(rows)
    assert torch.equal(HeldRows(source, np.arange(9)).take(np.arange(9)), take(np.arange(9)))
    assert asked == [[0, 1, 2], [3, 4, 5, 6, 7], [8]]


def test_what_would_not_fit_is_read_when_it_is_taken(source, monkeypatch):
    # nine rows of two numbers in float16 are 36 bytes
    monkeypatch.setattr(held, "HELD_BYTES", 35)
    not_held = HeldRows(source, np.arange(9))
    assert source.sweeps == []
    not_held.take(np.array([3]))
    not_held.take(np.array([3]))
    assert source.sweeps == ["take", "take"]


def test_mean_norm_and_blocks_are_those_of_the_source(source):
    rows = np.array([0, 3, 8])
    assert HeldRows(source, rows).mean_norm_of(rows) == source.mean_norm_of(rows)
    found, expected = (list(one.blocks()) for one in (HeldRows(source, rows), source))
    assert [image for image, _ in found] == [0, 2, 3]
    assert all(torch.equal(a[1], b[1]) for a, b in zip(found, expected, strict=True))
