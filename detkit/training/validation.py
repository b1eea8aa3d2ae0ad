"""Loss and accuracy on images that are not learnt from, while a network is trained."""

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
    """Measures what an objective's own losses and accuracies are on fixed batches of other images.

    Args:
        objective: has the heads of the one that is trained; its batches are of the other images.
        every: steps between two measurements.
        batches: batches of a measurement, the same each time.
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
        """``val_loss``, ``val_`` and the name of each part and share; means over the rows of all batches.

        Nothing of the training changes: no gradient, no statistic of a batch, and random numbers of its own.

        Args:
            backbone: in eval mode.
            name: as for ``train``.
            compute: likewise.
            workers: likewise.
            seed: likewise.
            world: likewise; each process takes a part of every batch.
        """
        self.objective.eval()
        terms: dict[str, torch.Tensor] = {}
        right: dict[str, tuple[int, int]] = {}
        batches = closing(in_threads(partial(self.objective.batch, world=world), 0, self.batches, workers))
        with torch.no_grad(), batches as made:
            for number, batch in enumerate(made):
                with torch_seed(seed, name, "validation", number, *world.others_number), compute.autocast():
                    losses = self.objective.losses(backbone, batch)
                for term, value in losses.terms.items():
                    terms[term] = terms.get(term, 0) + value / self.batches
                for share, (hits, of) in losses.right.items():
                    before = right.get(share, (0, 0))
                    right[share] = (before[0] + hits, before[1] + of)
        return {f"val_{key}": value for key, value in logged(Losses(terms, right), world).items()}
