"""What a network is trained to."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from detkit.backbones.base import Backbone
from detkit.regions.source import LinearHead
from detkit.system.compute import Compute
from detkit.system.seeding import torch_seed
from detkit.system.world import ALONE, World
from detkit.training.head import NewHead

CALIBRATION_IMAGES = 16
"""Images that a new head's centre and scale are taken from."""


@dataclass(frozen=True, eq=False)
class Batch:
    """One step's data as a worker makes it.

    Args:
        inputs: what the step's forward pass reads.
        targets: what its outputs are compared with, by name; each has a row for each row of the outputs.
        image_ids: the images it comes from, for messages.
        total: rows of the step in all processes.
    """

    inputs: Any
    targets: Mapping[str, np.ndarray]
    image_ids: Sequence[str]
    total: int


@dataclass(frozen=True, eq=False)
class Losses:
    """What a step's outputs cost.

    Args:
        terms: this process's part of each loss, by name: sums over rows, divided by ``Batch.total``. Their sum is what
            is minimised.
        right: shares to log beside them, by name: how many are right of how many.
    """

    terms: Mapping[str, Tensor]
    right: Mapping[str, tuple[int, int]]


def logged(losses: Losses, world: World) -> dict[str, float]:
    """The loss, its terms where it has several, and the shares of a step in all processes.

    A share of nothing is left out.
    """
    terms = [float(term.detach()) for term in losses.terms.values()]
    counts = [float(n) for pair in losses.right.values() for n in pair]
    numbers = torch.tensor([*terms, *counts], dtype=torch.float64)
    world.add_up([numbers])
    terms, counts = numbers.tolist()[: len(terms)], numbers.tolist()[len(terms) :]
    by_name = {f"loss_{name}": term for name, term in zip(losses.terms, terms, strict=True)} if len(terms) > 1 else {}
    shares = {name: hits / of for name, hits, of in zip(losses.right, counts[::2], counts[1::2], strict=True) if of}
    return {"loss": math.fsum(terms), **by_name, **shares}


class Objective(nn.Module, ABC):
    """Makes training batches, and says what a network's outputs for them cost; its own modules are the new heads.

    A registered objective's constructor takes from the builder what it asks for by name, see ``RegionObjective``. Its
    config keys are those of OBJECTIVE.

    Attributes:
        leaves: the names of its heads.
    """

    leaves: ClassVar[tuple[str, ...]]

    def prepare(self, backbone: Backbone, compute: Compute) -> None:
        """Is called once before the first step, with both on the device and in eval mode, without gradients."""
        return

    @abstractmethod
    def batch(self, iteration: int, world: World) -> Batch:
        """A process's part of the batch of an iteration.

        It depends on its arguments alone; several threads call it at once, ahead of the steps.
        """

    @abstractmethod
    def losses(self, backbone: Backbone, batch: Batch) -> Losses:
        """The losses of a batch, differentiable in the backbone and in the heads."""

    @abstractmethod
    def heads(self) -> dict[str, LinearHead]:
        """The trained heads as plain linear layers on the backbone's last layer, by name, on the CPU."""


def new_head(dim: int, num_outputs: int, *, std: float, seed: int, name: str) -> NewHead:
    """A linear layer with Gaussian weights and biases of 0.

    Args:
        dim: features that it reads.
        num_outputs: its rows.
        std: deviation of the weights.
        seed: with ``name`` it fixes the weights.
        name: what is trained.
    """
    with torch_seed(seed, name, "head"):
        head = nn.Linear(dim, num_outputs)
        nn.init.normal_(head.weight, std=std)
        nn.init.zeros_(head.bias)
    return NewHead(head)


def first_features(
    objective: Objective, features: Callable[[Batch], Tensor], images: int = CALIBRATION_IMAGES
) -> Tensor:
    """(N, D) float32 features of the first batches, as many as show this many images, at most that many batches.

    Regions of one image have much in common: the centre and spread of two images are not those of the data.
    """
    found: list[Tensor] = []
    seen: set[str] = set()
    while len(seen) < images and len(found) < images:
        batch = objective.batch(len(found), ALONE)
        seen.update(batch.image_ids)
        found.append(features(batch).float())
    return torch.cat(found)


def plain_head(head: NewHead) -> LinearHead:
    """The plain layer that a head equals, on the CPU."""
    folded = head.folded()
    return LinearHead(folded.weight.detach().cpu(), folded.bias.detach().cpu())
