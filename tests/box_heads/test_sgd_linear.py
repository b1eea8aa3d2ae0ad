import numpy as np
import pytest
import torch

from detkit.box_heads import descent
from detkit.box_heads.ridge import Ridge
from detkit.box_heads.sgd_linear import SGDLinear
from detkit.errors import ConfigError
from detkit.regions import held
from detkit.structures import Boxes

SQUARE = [0, 0, 40, 40]


@pytest.fixture
def shifted(make_index, array_source):
    """Regions shifted to the right by up to eight pixels, whose feature says by how much."""
    images = [([SQUARE], [i % 2], [[s / 4, 0, 40 + s / 4, 40] for s in range(33)]) for i in range(8)]
    index = make_index(images, 2)
    features = np.ones((len(index), 2), dtype=np.float32)
    features[:, 0] = index.boxes.tensor[:, 0].numpy() / 8
    return array_source(index, features)


def fit(source, seed=0, **settings):
    return SGDLinear(num_classes=2, feature_dim=source.dim, **{"epochs": 3, **settings}).fit(
        source, np.random.default_rng(seed)
    )


def test_it_nears_the_least_squares_solution(shifted):
    head = fit(shifted, epochs=30, batch_size=64, lr=3e-3, weight_decay=0.0)
    exact = Ridge(num_classes=2, feature_dim=2, alpha=1e-6).fit(shifted, np.random.default_rng(0))
    features, boxes, labels = torch.tensor([[0.25, 1.0], [1.0, 1.0]]), Boxes.of([SQUARE] * 2), torch.tensor([0, 1])
    moved, expected = (h.refine(features, boxes, labels).tensor for h in (head, exact))
    torch.testing.assert_close(moved, expected, rtol=0, atol=0.3)


def test_the_generator_decides_the_order_and_so_the_result(shifted):
    first, again, other = fit(shifted), fit(shifted), fit(shifted, seed=1)
    assert torch.equal(first.weight_, again.weight_) and not torch.equal(first.weight_, other.weight_)


def test_pools_read_each_example_once_an_epoch_where_they_cannot_be_held(shifted, monkeypatch):
    # 8 truths and 8 x 33 regions are 272 examples, three pools of at most 100; the norm's sample is off
    monkeypatch.setattr(descent, "POOL", 100)
    monkeypatch.setattr(held, "HELD_BYTES", 0)
    head = fit(shifted, target_norm=0.0)
    assert shifted.taken == 3 * 272
    assert head.report()["examples"] == [136, 136]


@pytest.mark.parametrize("pool", [100, 1000])
def test_examples_and_the_sample_for_the_norm_are_read_in_one_sweep(shifted, monkeypatch, pool):
    monkeypatch.setattr(descent, "POOL", pool)
    fit(shifted)
    assert shifted.sweeps == ["take"] and shifted.taken == 272


def test_holding_changes_nothing(shifted, monkeypatch):
    monkeypatch.setattr(descent, "POOL", 100)
    expected = fit(shifted)
    monkeypatch.setattr(held, "HELD_BYTES", 0)
    assert torch.equal(fit(shifted).weight_, expected.weight_)


def test_a_rate_that_diverges_is_an_error_that_names_it(shifted):
    with pytest.raises(ConfigError, match=r"SGDLinear: learning diverged with LR 1e\+30 and MOMENTUM 0\.9; lower LR"):
        fit(shifted, lr=1e30, epochs=10)


def test_progress_reaches_the_number_of_classes_in_the_course_of_the_steps(shifted):
    class Counter:
        def __init__(self):
            self.told = []

        def update(self, count=1):
            self.told.append(count)

    counter = Counter()
    head = SGDLinear(num_classes=2, feature_dim=2, epochs=3, batch_size=64)
    head.fit(shifted, np.random.default_rng(0), progress=counter)
    # 272 examples are 5 steps an epoch, 15 in all: the first class is reached with the eighth
    assert counter.told == [0] * 7 + [1] + [0] * 6 + [1]
