import json
import struct

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from detkit.system.tensor_files import read_tensor_file


def test_tensors_and_metadata_come_back(tmp_path):
    save_file({"a": np.arange(6.0).reshape(2, 3), "none": np.zeros((0, 4))}, tmp_path / "a", {"std": "1"})
    tensors, metadata = read_tensor_file(tmp_path / "a")
    assert tensors["a"].tolist() == [[0, 1, 2], [3, 4, 5]] and tensors["none"].shape == (0, 4)
    assert metadata == {"std": "1"}
    shapes, _ = read_tensor_file(tmp_path / "a", lambda file, name: torch.empty(file.get_slice(name).get_shape()))
    assert {name: tuple(t.shape) for name, t in shapes.items()} == {"a": (2, 3), "none": (0, 4)}


def header(shape):
    text = json.dumps({"a": {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}}).encode()
    return struct.pack("<Q", len(text)) + text


@pytest.mark.parametrize("content", [b"", b"no tensors", header([2]), header([-1]), header([2**63, 0])])
def test_whatever_is_wrong_with_a_file_is_an_error_of_reading_it(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    for file in (tmp_path / "a", tmp_path / "nowhere", tmp_path):
        with pytest.raises(OSError):
            read_tensor_file(file)


def test_what_the_caller_does_wrong_is_no_damage(tmp_path):
    save_file({"a": np.zeros(1)}, tmp_path / "a")
    with pytest.raises(ZeroDivisionError):
        read_tensor_file(tmp_path / "a", lambda file, name: 1 / 0)
