import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from detkit.errors import ModelError
from detkit.training.checkpoint import load_checkpoint, save_checkpoint


def test_tensors_and_facts_come_back_to_the_bit(tmp_path):
    tensors = {
        "weight": torch.randn(3, 4),
        "half": torch.randn(2).half(),
        "count": torch.tensor(7),
        "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "none": torch.zeros(0, 4),
    }
    path = tmp_path / "deep" / "checkpoint.safetensors"
    save_checkpoint(path, tensors, {"iteration": 12, "names": ["a"]})
    loaded, meta = load_checkpoint(path)
    assert meta == {"iteration": 12, "names": ["a"]}
    assert loaded.keys() == tensors.keys()
    assert all(torch.equal(loaded[name], t) and loaded[name].dtype == t.dtype for name, t in tensors.items())


def test_one_file_is_kept_and_nothing_beside_it(tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    for iteration in (1, 2):
        save_checkpoint(path, {"w": torch.full((2,), float(iteration), requires_grad=True)}, {"iteration": iteration})
    assert [p.name for p in tmp_path.glob("*.safetensors*")] == ["checkpoint.safetensors"]
    assert load_checkpoint(path)[0]["w"].tolist() == [2.0, 2.0]


def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, {"w": torch.ones(1)}, {"iteration": 1})

    def full(*args, **kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr("detkit.system.files.os.fsync", full)
    with pytest.raises(OSError, match="no space"):
        save_checkpoint(path, {"w": torch.zeros(1)}, {"iteration": 2})
    assert load_checkpoint(path)[1] == {"iteration": 1}


@pytest.mark.parametrize("content", [b"", b"{not a checkpoint"])
def test_a_broken_file_is_named(tmp_path, content):
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(content)
    with pytest.raises(
        ModelError, match=r"checkpoint\.safetensors: not a checkpoint of detkit .*delete it to start again"
    ):
        load_checkpoint(path)


def test_a_file_of_another_program_is_named(tmp_path):
    save_file({"w": np.ones(2, np.float32)}, tmp_path / "weights.safetensors")
    with pytest.raises(ModelError, match=r"weights\.safetensors: not a checkpoint of detkit"):
        load_checkpoint(tmp_path / "weights.safetensors")
