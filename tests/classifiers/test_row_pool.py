import pytest
import torch

from detkit.classifiers import row_pool
from detkit.classifiers.row_pool import RowPool


def test_a_row_is_held_until_its_last_keeper_lets_it_go():
    pool = RowPool()
    pool.keep(7, torch.tensor([1.0, 2.0]))
    pool.keep(7, torch.tensor([5.0, 5.0]))  # read from the first keeper only
    pool.release([7])
    assert len(pool) == 1 and pool[7].tolist() == [1, 2]
    pool.release([7])
    assert len(pool) == 0
    with pytest.raises(KeyError):
        pool[7]


def test_features_are_copies_in_float16():
    block = torch.tensor([[1 / 3, 1000.1]])
    pool = RowPool()
    pool.keep(0, block[0])
    expected = block[0].half()
    block[:] = 0
    assert torch.equal(pool[0], expected)


def test_places_are_used_again(monkeypatch):
    # slabs of two: three rows at once need two of them, and so do three others after the first were let go
    monkeypatch.setattr(row_pool, "SLAB", 2)
    pool = RowPool()
    for first in (0, 10):
        for row in range(first, first + 3):
            pool.keep(row, torch.full((4,), float(row)))
        assert [pool[row].tolist() for row in range(first, first + 3)] == [[r] * 4 for r in range(first, first + 3)]
        pool.release(range(first, first + 3))
    assert len(pool._slabs) == 2
