"""The base class of training objectives."""

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
    """The data of one step, or of a part of it, as a worker makes them.

    Args:
        inputs: the input of the forward pass.
        targets: targets by name, each with a row for each row of the outputs.
        image_ids: ids of the images, for messages.
        total: number of rows of the whole step.
    """

    inputs: Any
    targets: Mapping[str, np.ndarray]
    image_ids: Sequence[str]
    total: int


@dataclass(frozen=True, eq=False)
class Losses:
    """The losses of a step, and accuracies to log.

    Args:
        terms: the batch's part of each loss, by name: sums over rows, divided by ``Batch.total``. Training minimises
            the sum of all terms.
        right: counts for each accuracy, by name: (number right, number in all).
    """

    terms: Mapping[str, Tensor]
    right: Mapping[str, tuple[int, int]]

    @classmethod
    def added(cls, parts: Sequence[Losses]) -> Losses:
        """The sums over the parts of a step, or over batches. All must have the same names."""
        terms = {name: torch.stack([part.terms[name].detach() for part in parts]).sum() for name in parts[0].terms}
        hits, of = ({name: sum(part.right[name][i] for part in parts) for name in parts[0].right} for i in (0, 1))
        return cls(terms, {name: (hits[name], of[name]) for name in hits})


def logged(losses: Losses, world: World) -> dict[str, float]:
    """The loss, its terms if there are several, and the accuracies of a step, over all processes.

    An accuracy of no rows is left out.
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
    """Makes training batches and computes a network's losses on them. Its own modules are the new heads.

    The builder gives a registered objective's constructor the arguments that it names, see ``RegionObjective``. Its
    config keys are in the section OBJECTIVE.

    Attributes: leaves: names of the heads that training leaves.
    """

    leaves: ClassVar[tuple[str, ...]]

    def prepare(self, backbone: Backbone, compute: Compute) -> None:
        """Called once before the first step, without gradients; both networks are on the device and in eval mode."""
        return

    @abstractmethod
    def batch(self, iteration: int, world: World) -> Batch:
        """A part of the batch of an iteration.

        The result depends on the arguments alone. Several threads call it at once, ahead of the steps.

        Args:
            iteration: number of the step, from 0.
            world: which part it is: its ``own`` shares out the examples. It need not be a process, see ``World.part``.
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
        dim: number of input features.
        num_outputs: number of outputs.
        std: standard deviation of the weights.
        seed: fixes the weights, together with ``name``.
        name: what is trained: "finetune" or "pretrain".
    """
    with torch_seed(seed, name, "head"):
        head = nn.Linear(dim, num_outputs)
        nn.init.normal_(head.weight, std=std)
        nn.init.zeros_(head.bias)
    return NewHead(head)


def first_features(
    objective: Objective, features: Callable[[Batch], Tensor], images: int = CALIBRATION_IMAGES
) -> Tensor:
    """(N, D) float32 features of the first batches, until they show ``images`` images; at most ``images`` batches.

    Regions of one image are alike, so a few images do not give the centre and spread of the data.
    """
    found: list[Tensor] = []
    seen: set[str] = set()
    while len(seen) < images and len(found) < images:
        batch = objective.batch(len(found), ALONE)
        seen.update(batch.image_ids)
        found.append(features(batch).float())
    return torch.cat(found)


def plain_head(head: NewHead) -> LinearHead:
    """The plain linear layer that equals a head, on the CPU."""
    folded = head.folded()
    return LinearHead(folded.weight.detach().cpu(), folded.bias.detach().cpu())
