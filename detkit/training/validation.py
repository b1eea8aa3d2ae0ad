"""Loss and accuracy on validation images while a network is trained."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from functools import partial

import torch

from detkit.backbones.base import Backbone
from detkit.system.compute import Compute
from detkit.system.seeding import torch_seed
from detkit.system.stream import in_threads
from detkit.system.world import World
from detkit.training.objective import Losses, Objective, logged


@dataclass(frozen=True, eq=False)
class Validation:
    """Measures an objective's losses and accuracies on fixed batches of other images.

    Args:
        objective: shares its heads with the trained objective; its batches hold other images.
        every: number of steps between two measurements.
        batches: number of batches of a measurement, the same each time.
    """

    objective: Objective
    every: int
    batches: int

    def is_due(self, done: int, stop: int) -> bool:
        """Whether to measure after ``done`` of ``stop`` steps: at intervals, and after the last."""
        return done % self.every == 0 or done == stop

    def measure(
        self, backbone: Backbone, *, name: str, compute: Compute, workers: int, seed: int, world: World
    ) -> dict[str, float]:
        """The losses and accuracies over all batches, with ``val_`` before their names, such as ``val_loss``.

        It does not change the training: it computes no gradient, uses stored statistics, and has its own random
        numbers.

        Args:
            backbone: the backbone, in eval mode.
            name: as for ``train``.
            compute: as for ``train``.
            workers: as for ``train``.
            seed: as for ``train``.
            world: as for ``train``; each process takes a part of every batch.
        """
        self.objective.eval()
        found: list[Losses] = []
        batches = closing(in_threads(partial(self.objective.batch, world=world), 0, self.batches, workers))
        with torch.no_grad(), batches as made:
            for number, batch in enumerate(made):
                with torch_seed(seed, name, "validation", number, *world.others_number), compute.autocast():
                    losses = self.objective.losses(backbone, batch)
                found.append(Losses({k: term / self.batches for k, term in losses.terms.items()}, losses.right))
        return {f"val_{key}": value for key, value in logged(Losses.added(found), world).items()}
