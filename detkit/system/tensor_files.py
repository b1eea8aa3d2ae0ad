"""Reads safetensors files, which may be damaged."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

LARGEST = 2**63 - 1
"""The longest side of a tensor that torch knows; a header may announce more for a tensor without numbers."""


def whole_tensor(file: Any, name: str) -> Tensor:
    """A tensor of an open file, with its numbers."""
    tensor: Tensor = file.get_tensor(name)
    return tensor


def read_tensor_file(
    file: Path, of_tensor: Callable[[Any, str], Tensor] = whole_tensor
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a safetensors file by name, and its metadata.

    Args:
        file: the file.
        of_tensor: returns the value for a tensor, from the open file and the tensor's name.

    Raises:
        OSError: if the file is missing or damaged; ``reason`` returns a text for a message.
    """
    try:
        with safe_open(file, "pt") as stored:
            names = list(stored.keys())
            for name in names:
                shape = stored.get_slice(name).get_shape()
                if max(shape, default=0) > LARGEST:
                    raise OSError(errno.EINVAL, f"tensor {name} has the shape {shape}", str(file))
            return {name: of_tensor(stored, name) for name in names}, stored.metadata() or {}
    except SafetensorError as error:
        raise OSError(errno.EINVAL, str(error), str(file)) from error
