import pytest
import torch
from safetensors.torch import save_file

from detkit.errors import ModelError
from detkit.structures.state import checked_state, read_tensors


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


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1j, 1e300])
def test_what_is_no_finite_number_is_refused(value):
    state = {"bias": torch.tensor([0, value], dtype=torch.complex64 if value == 1j else torch.float64)}
    with pytest.raises(ModelError, match="Head: tensor 'bias' holds values that are no finite numbers"):
        checked_state("Head", state, {"bias": (2,)})


def test_a_class_may_have_a_bias_that_never_fires_and_no_such_weight():
    never = torch.tensor([-torch.inf, 0])
    assert torch.equal(checked_state("Head", {"bias": never}, {"bias": (2,)})["bias"], never)
    with pytest.raises(ModelError, match="tensor 'weight' holds values"):
        checked_state("Head", {"weight": never[None]}, {"weight": (1, 2)})


def test_a_file_that_is_cut_cannot_be_read(tmp_path):
    file = tmp_path / "a.safetensors"
    save_file({"a": torch.ones(9)}, file)
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(ModelError, match=r"a\.safetensors: missing or damaged, it cannot be read: .*; delete "):
        read_tensors(file)
