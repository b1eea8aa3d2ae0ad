from __future__ import annotations

import pytest
import torch
from torch import nn

from detkit.backbones.factored import of_rank


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return nn.Linear(30, 12)


@pytest.mark.parametrize("inputs, outputs", [(30, 12), (12, 12), (8, 20)])
def test_full_rank_gives_the_same_outputs(inputs, outputs):
    torch.manual_seed(0)
    layer, x = nn.Linear(inputs, outputs), torch.randn(40, inputs)
    for rank in (outputs, 1000):
        torch.testing.assert_close(of_rank(layer, rank)(x), layer(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("rank", [1, 5, 11])
def test_what_is_lost_is_the_root_of_the_dropped_squares(layer, rank):
    first, second = of_rank(layer, rank)
    assert first.bias is None and torch.equal(second.bias, layer.bias)
    assert first.weight.shape == (rank, 30) and second.weight.shape == (12, rank)
    lost = torch.linalg.norm(second.weight @ first.weight - layer.weight)
    expected = torch.linalg.svdvals(layer.weight)[rank:].square().sum().sqrt()
    torch.testing.assert_close(lost, expected, rtol=1e-4, atol=1e-6)


def test_the_first_layer_holds_the_singular_values(layer):
    first, second = of_rank(layer, 4)
    torch.testing.assert_close(first.weight.norm(dim=1), torch.linalg.svdvals(layer.weight)[:4], rtol=1e-4, atol=0)
    torch.testing.assert_close(second.weight.T @ second.weight, torch.eye(4), rtol=0, atol=1e-5)
