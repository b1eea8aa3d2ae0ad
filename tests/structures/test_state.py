import pytest
import torch

from detkit.errors import ModelError
from detkit.structures.state import checked_state


def test_half_precision_comes_back_as_float32():
    loaded = checked_state("Head", {"weight": torch.ones(2, 3).half()}, {"weight": (2, 3)})
    assert loaded["weight"].dtype == torch.float32


def test_a_missing_tensor_is_named_with_those_that_are_there():
    with pytest.raises(ModelError, match="Head: the model has no tensor 'bias'; it has scale, weight"):
        checked_state("Head", {"weight": torch.ones(1), "scale": torch.ones(1)}, {"weight": (1,), "bias": (1,)})
    with pytest.raises(ModelError, match="it has none"):
        checked_state("Head", {}, {"bias": (1,)})


def test_another_shape_is_named_with_the_expected_one():
    with pytest.raises(ModelError, match=r"'weight' is \(20, 8\), expected \(5, 8\)"):
        checked_state("Head", {"weight": torch.ones(20, 8)}, {"weight": (5, 8)})
