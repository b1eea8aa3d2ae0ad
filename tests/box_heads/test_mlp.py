import numpy as np
import pytest
import torch
from torch.testing import assert_close

from detkit.box_heads.mlp import MLP
from detkit.box_heads.ridge import Ridge
from detkit.errors import ConfigError
from detkit.structures import Boxes

SQUARE = [20, 0, 60, 40]


@pytest.fixture
def bent(make_index, array_source):
    """Regions shifted by up to four pixels to either side, whose feature says how far, not to which."""
    shifts = np.arange(-16, 17) / 4
    images = [([SQUARE], [i % 2], [[20 + s, 0, 60 + s, 40] for s in shifts if s * (-1) ** i >= 0]) for i in range(8)]
    index = make_index(images, 3)
    features = np.ones((len(index), 2), dtype=np.float32)
    features[:, 0] = (index.boxes.tensor[:, 0].numpy() - 20) / 4
    return array_source(index, features)


def fit(source, seed=0, **settings):
    chosen = {"epochs": 3, "hidden_dim": 16, **settings}
    return MLP(num_classes=3, feature_dim=source.dim, **chosen).fit(source, np.random.default_rng(seed))


def test_it_learns_what_no_linear_head_can(make_index, array_source):
    # the features say how far a region is off, its class's truth lies to the left where that is more than 2 pixels
    # and to the right where it is less: targets |x| - 2 of a feature x, which a line cannot follow
    xs = np.linspace(-4, 4, 33)
    index = make_index([([SQUARE], [0], [[18 + abs(x), 0, 58 + abs(x), 40] for x in xs])] * 6, 1)
    features = np.ones((len(index), 2), dtype=np.float32)
    features[:, 0] = np.tile([0, *xs], 6)
    source = array_source(index, features)
    asked = torch.tensor([[-4.0, 1.0], [4.0, 1.0]])
    boxes, labels = Boxes.of([[22, 0, 62, 40]] * 2), torch.tensor([0, 0])
    ridge = Ridge(num_classes=1, feature_dim=2, alpha=1e-3).fit(source, np.random.default_rng(0))
    mlp = MLP(num_classes=1, feature_dim=2, hidden_dim=32, epochs=60, batch_size=32, weight_decay=0.0)
    moved = mlp.fit(source, np.random.default_rng(0)).refine(asked, boxes, labels).tensor[:, 0]
    linear = ridge.refine(asked, boxes, labels).tensor[:, 0]
    assert (moved - 20).abs().max() < 0.5
    assert (linear - 20).abs().max() > 1.5


def test_a_move_by_hand():
    # units relu(2 x) = 4 and relu(-x) = 0 of the feature 2 x 0.5; class 1: x by .1 of 10, width by log 2
    head = MLP(num_classes=2, feature_dim=1, hidden_dim=2)
    weight = torch.zeros(2, 4, 2)
    weight[1, 0] = torch.tensor([0.025, 9.0])
    bias = torch.zeros(2, 4)
    bias[1, 2] = np.log(2)
    hidden = {"hidden_weight": torch.tensor([[4.0], [-1.0]]), "hidden_bias": torch.zeros(2)}
    head.load({"weight": weight, "bias": bias, "scale": torch.tensor(0.5), **hidden})
    moved = head.refine(torch.full((2, 1), 2.0), Boxes.of([[0, 0, 10, 10]] * 2), torch.tensor([1, 0]))
    # centre 5 + 1 = 6, width 20
    assert_close(moved.tensor, torch.tensor([[-4.0, 0, 16, 10], [0, 0, 10, 10]]))


def test_before_a_step_a_class_moves_by_the_mean_of_its_targets(bent):
    # shifts of 0 (the truth), 0, .25, ..., 4 to one side a class: the mean of 18 is 1.889 of 40 pixels
    head = fit(bent, epochs=1, lr=1e-30)
    moved = head.refine(torch.rand(3, 2), Boxes.of([SQUARE] * 3), torch.tensor([0, 1, 2]))
    assert_close(moved.tensor[:, 0], torch.tensor([20 - 34 / 18, 20 + 34 / 18, 20]))


def test_the_generator_decides_the_first_weights_and_the_order(bent):
    first, again, other = fit(bent), fit(bent), fit(bent, seed=1)
    assert all(torch.equal(value, again.state()[name]) for name, value in first.state().items())
    assert not torch.equal(first.hidden_weight_, other.hidden_weight_)


def test_the_hidden_layer_is_learnt_too(bent):
    still, learnt = fit(bent, lr=1e-30), fit(bent)
    assert not torch.allclose(still.hidden_weight_, learnt.hidden_weight_, atol=1e-5)


def test_first_weights_keep_the_norm_of_what_they_are_applied_to():
    head = MLP(num_classes=1, feature_dim=64, hidden_dim=4096)
    units = torch.relu(head._first_weights(np.random.default_rng(0)) @ torch.ones(64))
    assert float(units.detach().norm()) == pytest.approx(8, rel=0.05)


def test_targets_in_pixels_are_learnt_as_well_as_logs(bent):
    # all sides are equal: 40 pixels are one side, so the levelled targets are the same
    log, pixels = (fit(bent, coder=coder) for coder in ("log", "pixels"))
    assert_close(pixels.weight_[:, :2], 40 * log.weight_[:, :2], rtol=1e-3, atol=1e-4)


def test_a_rate_that_diverges_is_an_error_that_names_it(bent):
    with pytest.raises(ConfigError, match=r"MLP: learning diverged with LR 1e\+30 and MOMENTUM 0\.9; lower LR"):
        fit(bent, lr=1e30, epochs=10)


def test_the_report_has_its_layer(bent):
    report = fit(bent).report()
    assert (report["hidden_dim"], report["epochs"], report["unmoved"]) == (16, 3, [2])
