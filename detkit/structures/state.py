"""Writing and reading the state of components that learn."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from detkit.errors import ComponentError, ModelError
from detkit.system.reading import reason
from detkit.system.tensor_files import read_tensor_file

NUMBERS = {torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int32}
"""Types of tensors that can become float32."""


class Learnt(ABC):
    """A component that learns. Its state is a few named tensors."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Everything that was learnt, as named tensors."""

    @abstractmethod
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Restores what ``state`` returned.

        Raises:
            ModelError: if a tensor is missing, has another shape, or holds nan or infinite numbers.
        """

    def report(self) -> dict[str, object]:
        """Figures about the fit for readers of the run, as JSON values."""
        return {}


def read_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file that detkit wrote.

    Raises:
        ModelError: if the file is missing or damaged.
    """
    try:
        return read_tensor_file(file)[0]
    except OSError as error:
        raise ModelError(
            f"{file}: missing or damaged, it cannot be read: {reason(error)}; delete {file.parent} and make it again "
            "with detkit train"
        ) from error


def learnt_state(component: Learnt) -> dict[str, Tensor]:
    """The state of a component, after a check.

    Raises:
        ComponentError: if its ``state`` is no dict of tensors by name.
    """
    state, where = component.state(), f"{type(component).__name__}.state"
    if not isinstance(state, dict):
        raise ComponentError(f"{where}: expected a dict of tensors by name, got {type(state).__name__}")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise ComponentError(f"{where}: expected tensors by name, got {type(value).__name__} for {name!r}")
    return state


def learnt_report(component: Learnt) -> dict[str, object]:
    """The report of a component, after a check.

    Raises:
        ComponentError: if its ``report`` is no dict of JSON values.
    """
    report = component.report()
    try:
        json.dumps(report)
    except (TypeError, ValueError) as error:
        raise ComponentError(f"{type(component).__name__}.report: expected JSON values, got: {error}") from error
    return report


def load_learnt(component: Learnt, file: Path) -> None:
    """Restores what a component has learnt from the file of its state.

    Raises:
        ModelError: if the file is missing, damaged, or of another component; the message names the file.
    """
    state = read_tensors(file)
    try:
        component.load(state)
    except ModelError as error:
        raise ModelError(f"{file}: {error}") from error


def checked_state(owner: str, state: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """The named tensors of a state as float32, each of the expected shape.

    Numbers must be finite. Only one-dimensional tensors may hold -inf: the bias of a class that is never found.

    Raises:
        ModelError: if a tensor is missing, has another shape, or holds other nan or infinite numbers; the message
            names the owner and the tensor.
    """
    for name, shape in shapes.items():
        if name not in state:
            raise ModelError(f"{owner}: the model has no tensor {name!r}; it has {', '.join(sorted(state)) or 'none'}")
        if tuple(state[name].shape) != shape:
            raise ModelError(
                f"{owner}: tensor {name!r} is {tuple(state[name].shape)}, expected {shape}; "
                "was the model trained with other classes or another layer?"
            )
        if not _is_sound(state[name]):
            raise ModelError(f"{owner}: tensor {name!r} holds values that are no finite numbers; train the model again")
    return {name: state[name].to(torch.float32) for name in shapes}


def _is_sound(values: Tensor) -> bool:
    if values.dtype not in NUMBERS:
        return False
    numbers = values.to(torch.float32)
    return bool((torch.isfinite(numbers) | ((numbers == -torch.inf) & (numbers.ndim == 1))).all())
