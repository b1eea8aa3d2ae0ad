"""Functions that the checks of components share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detkit.errors import ModelError
from detkit.progress import NoProgress
from detkit.regions.index import RegionIndex
from detkit.regions.source import ArraySource
from detkit.structures import Annotations, Boxes, Proposals, Sample
from detkit.structures.state import Learnt

SIDE = 100
"""Sides of the images of ``index_of``."""


class ContractError(AssertionError):
    """A component breaks the contract of its base class."""


def expect(holds: Any, message: str) -> None:
    """Raises ContractError with the message if the condition is False."""
    if not holds:
        raise ContractError(message)


def expect_given(component: type, given: set[str], expected: set[str]) -> None:
    """Checks that the parameters without a default are those that the builder gives."""
    expect(
        given == expected,
        f"the builder gives {sorted(expected) or 'nothing'}, but its constructor asks for {sorted(given)}; every other "
        "parameter needs a default",
    )


def expect_raises(error: type[Exception], action: Callable[[], Any], what: str) -> Exception:
    """The error that an action raises, after a check of its type."""
    try:
        action()
    except error as raised:
        return raised
    except Exception as raised:
        raise ContractError(f"{what}: expected {error.__name__}, got {type(raised).__name__}: {raised}") from raised
    raise ContractError(f"{what}: expected {error.__name__}, but nothing was raised")


def expect_same(a: Tensor, b: Tensor, what: str) -> None:
    """Checks that two tensors have the same bits."""
    expect(a.shape == b.shape and torch.equal(a, b), f"{what}: the numbers differ")


def index_of(images: Sequence[tuple[list[Any], list[int], list[Any]]], num_classes: int) -> RegionIndex:
    """The regions of images of 100 by 100 pixels, given as (truth boxes, truth labels, proposal boxes)."""
    samples, proposals = [], []
    for number, (truths, labels, found) in enumerate(images):
        annotations = Annotations.of(Boxes.of(truths), labels)
        samples.append(Sample(f"image{number}", Path(f"image{number}.png"), (SIDE, SIDE), annotations))
        proposals.append(Proposals.unranked(Boxes.of(found), (SIDE, SIDE)))
    return RegionIndex.build(samples, proposals, num_classes)


class CountedSource(ArraySource):
    """Features in memory; ``taken`` counts the rows that were read, and ``sweeps`` the passes over all of them.

    Args:
        index: the regions.
        features: (R, D) float32.
    """

    def __init__(self, index: RegionIndex, features: np.ndarray) -> None:
        super().__init__(index, features)
        self.taken = self.sweeps = 0

    def take(self, rows: np.ndarray) -> Tensor:
        """The rows, counted."""
        self.taken += len(rows)
        return super().take(rows)

    def blocks(self) -> Iterator[tuple[int, Tensor]]:
        """All rows, counted."""
        self.sweeps += 1
        return super().blocks()


class CountedProgress(NoProgress):
    """Progress whose ``done`` counts the finished units."""

    done = 0

    def update(self, count: int = 1) -> None:
        """Counts."""
        self.done += count


def features_of(index: RegionIndex, dim: int) -> np.ndarray:
    """(R, dim) float32, the same each time."""
    return np.random.default_rng(0).random((len(index), dim), dtype=np.float32)


def expect_state_is_checked(make: Callable[[], Learnt], state: dict[str, Tensor]) -> None:
    """Checks that loading a state without a tensor, or with one of another shape, raises a ModelError that names it."""
    for name in state:
        for broken in ({k: v for k, v in state.items() if k != name}, {**state, name: torch.zeros(3, 5, 7)}):
            error = expect_raises(ModelError, lambda broken=broken: make().load(broken), f"load with a broken {name}")  # type: ignore[misc]
            expect(name in str(error), f"load: the message does not name {name}: {error}")
