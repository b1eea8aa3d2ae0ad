"""What checks of components have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detkit.errors import ModelError
from detkit.regions.index import RegionIndex
from detkit.regions.source import ArraySource
from detkit.structures import Annotations, Boxes, Proposals, Sample
from detkit.structures.state import Learnt

SIDE = 100
"""Sides of the images of ``index_of``."""


class ContractError(AssertionError):
    """A component does not keep what its base class promises."""


def expect(holds: Any, message: str) -> None:
    """Raises ContractError with the message where something does not hold."""
    if not holds:
        raise ContractError(message)


def expect_given(component: type, given: set[str], expected: set[str]) -> None:
    """The parameters without a default are those that the builder gives."""
    expect(
        given == expected,
        f"the builder gives {sorted(expected) or 'nothing'}, but its constructor asks for {sorted(given)}; every other "
        "parameter needs a default",
    )


def expect_raises(error: type[Exception], action: Callable[[], Any], what: str) -> Exception:
    """The error that an action raises, which must be of this type."""
    try:
        action()
    except error as raised:
        return raised
    except Exception as raised:
        raise ContractError(f"{what}: expected {error.__name__}, got {type(raised).__name__}: {raised}") from raised
    raise ContractError(f"{what}: expected {error.__name__}, but nothing was raised")


def expect_same(a: Tensor, b: Tensor, what: str) -> None:
    """Two tensors have the same bits."""
    expect(a.shape == b.shape and torch.equal(a, b), f"{what}: the numbers differ")


def index_of(images: Sequence[tuple[list[Any], list[int], list[Any]]], num_classes: int) -> RegionIndex:
    """The regions of images that are given as (truth boxes, truth labels, proposal boxes), each 100 by 100 pixels."""
    samples, proposals = [], []
    for number, (truths, labels, found) in enumerate(images):
        annotations = Annotations.of(Boxes.of(truths), labels)
        samples.append(Sample(f"image{number}", Path(f"image{number}.png"), (SIDE, SIDE), annotations))
        proposals.append(Proposals.unranked(Boxes.of(found), (SIDE, SIDE)))
    return RegionIndex.build(samples, proposals, num_classes)


class CountedSource(ArraySource):
    """Features held in memory; ``taken`` counts the rows that were read.

    Args:
        index: the regions.
        features: (R, D) float32.
    """

    def __init__(self, index: RegionIndex, features: np.ndarray) -> None:
        super().__init__(index, features)
        self.taken = 0

    def take(self, rows: np.ndarray) -> Tensor:
        """The rows, counted."""
        self.taken += len(rows)
        return super().take(rows)


def features_of(index: RegionIndex, dim: int) -> np.ndarray:
    """(R, dim) float32, the same each time."""
    return np.random.default_rng(0).random((len(index), dim), dtype=np.float32)


def expect_state_is_checked(make: Callable[[], Learnt], state: dict[str, Tensor]) -> None:
    """Loading a state without a tensor, or with one of another shape, is a ModelError that names it."""
    for name in state:
        for broken in ({k: v for k, v in state.items() if k != name}, {**state, name: torch.zeros(3, 5, 7)}):
            error = expect_raises(ModelError, lambda broken=broken: make().load(broken), f"load with a broken {name}")  # type: ignore[misc]
            expect(name in str(error), f"load: the message does not name {name}: {error}")
