"""What a component has learnt, and reading it back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from detkit.errors import ModelError


class Learnt(ABC):
    """A component that learns: its state is a few named tensors."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """All that was learnt, as named tensors."""

    @abstractmethod
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Puts back what ``state`` gave.

        Raises:
            ModelError: a tensor is missing or has another shape.
        """

    def report(self) -> dict[str, object]:
        """What a reader of the run would like to know of the fit, as JSON values."""
        return {}


def checked_state(owner: str, state: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """The named tensors of a state as float32, each of the expected shape.

    Raises:
        ModelError: a tensor is missing or has another shape; the message names the owner and the tensor.
    """
    for name, shape in shapes.items():
        if name not in state:
            raise ModelError(f"{owner}: the model has no tensor {name!r}; it has {', '.join(sorted(state)) or 'none'}")
        if tuple(state[name].shape) != shape:
            raise ModelError(
                f"{owner}: tensor {name!r} is {tuple(state[name].shape)}, expected {shape}; "
                "was the model trained with other classes or another layer?"
            )
    return {name: state[name].to(torch.float32) for name in shapes}
