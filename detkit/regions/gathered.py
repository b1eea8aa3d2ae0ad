"""Features that several processes compute and the first one reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import torch
from torch import Tensor

from detkit.regions.features import IMAGES_TOGETHER, ComputedFeatures, RegionFeatures, Request
from detkit.system.world import Outbox, World


class GatheredFeatures(RegionFeatures):
    """Features that several processes compute, in the same order and equal to those of one process.

    Processes take turns at groups of ``IMAGES_TOGETHER`` images, so batches are the same as in one process. Each of the
    other processes works at most two groups ahead of the reader.

    Args:
        computed: computes the features of each process.
        world: the processes.
    """

    def __init__(self, computed: ComputedFeatures, world: World) -> None:
        self.index, self.computed, self.world = computed.index, computed, world

    def dim(self, layer: str) -> int:
        """D, from the network."""
        return self.computed.dim(layer)

    def _images(self, requests: Sequence[Request], layers: Sequence[str]) -> Iterator[tuple[int, dict[str, Tensor]]]:
        """Sends the requests to all processes and reads their results in turn. Only the first process calls it."""
        self.world.tell((requests, layers))
        own = self._own(requests, layers)
        for i, (image, rows) in enumerate(requests):
            owner = self.world.owner(i // IMAGES_TOGETHER)
            if owner == self.world.rank:
                yield next(own)
                continue
            shapes = {layer: (len(rows), self.dim(layer)) for layer in layers}
            parts = {layer: torch.empty(shape, dtype=torch.float16) for layer, shape in shapes.items()}
            yield image, {layer: self.world.receive(part, owner).float() for layer, part in parts.items()}

    def serve(self) -> None:
        """Computes for the first process until that sends no more requests."""
        while (asked := self.world.tell()) is not None:
            requests, layers = asked
            outbox = Outbox(ahead=2 * IMAGES_TOGETHER * len(layers))
            for features in chain.from_iterable(found.values() for _, found in self._own(requests, layers)):
                outbox.send(features.half())
            outbox.close()

    def dismiss(self) -> None:
        """Lets the other processes go on to the next stage."""
        self.world.tell(None)

    def _own(self, requests: Sequence[Request], layers: Sequence[str]) -> Iterator[tuple[int, dict[str, Tensor]]]:
        return self.computed.images(self.world.own(requests, IMAGES_TOGETHER), layers)
