from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from detkit.box_heads.tuned import TunedBoxes
from detkit.errors import ConfigError
from detkit.regions.source import LinearHead
from detkit.structures import Boxes


class Untouched:
    """A source that must not be read."""

    def __getattr__(self, name):
        raise AssertionError(f"read {name}")


def fitted(weight, bias, num_classes=2):
    head = TunedBoxes(num_classes=num_classes, feature_dim=weight.shape[1])
    return head.fit(Untouched(), np.random.default_rng(0), head=LinearHead(weight, bias))


def test_a_region_moves_by_the_four_rows_of_its_class():
    # Class 1 reads rows 4..7: feature (1, 2) gives dx 0.1, dy 2 * 0.1, dw log 2, dh 0, on a box of 20 x 40 at (10, 10):
    # the centre (20, 30) goes to (22, 38), the width to 40.
    weight, bias = torch.zeros(8, 2), torch.zeros(8)
    weight[:4] = 9
    weight[4, 0], weight[5, 1], bias[6] = 0.1, 0.1, math.log(2)
    moved = fitted(weight, bias).refine(torch.tensor([[1.0, 2.0]]), Boxes.of([[10, 10, 30, 50]]), torch.tensor([1]))
    torch.testing.assert_close(moved.tensor, torch.tensor([[2.0, 18, 42, 58]]), rtol=0, atol=1e-4)


def test_features_are_read_at_test_and_not_in_training():
    assert TunedBoxes.reads_features and not TunedBoxes.learns_from_features and TunedBoxes.needs_head == "box"


def test_a_network_without_a_head_of_boxes_is_refused():
    with pytest.raises(ConfigError, match=r"BOX_HEAD.NAME: TunedBoxes .* has none; .* or use Ridge"):
        TunedBoxes(num_classes=2, feature_dim=4).fit(Untouched(), np.random.default_rng(0))


@pytest.mark.parametrize("shape", [(8, 5), (4, 4)])
def test_a_head_of_another_layer_or_other_classes_is_refused(shape):
    head = LinearHead(torch.zeros(shape), torch.zeros(shape[0]))
    with pytest.raises(ConfigError, match=r"BOX_HEAD.LAYER: .* TunedBoxes expected \(8, 4\); set the layer"):
        TunedBoxes(num_classes=2, feature_dim=4).fit(Untouched(), np.random.default_rng(0), head=head)
