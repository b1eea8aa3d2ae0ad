"""Objectives on regions, and R-CNN's among them."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import Self

from detkit.backbones.base import Backbone, LayerSpec
from detkit.data.images import sample_image
from detkit.regions.base import RegionExtractor, RegionSampler, checked_rows
from detkit.regions.index import RegionIndex
from detkit.regions.source import LinearHead
from detkit.registry import OBJECTIVES
from detkit.system.compute import Compute
from detkit.system.seeding import rng_for
from detkit.system.world import World
from detkit.training.jitter import Jitter, coloured, moved
from detkit.training.objective import Batch, Losses, Objective, first_features, new_head, plain_head
from detkit.training.solver import SolverSettings


class RegionObjective(Objective):
    """Batches of regions that a sampler draws and an extractor prepares; a subclass says what their features cost.

    Attributes:
        jitter: how much regions and colours vary; None where they do not. ``finetune`` sets it.
        takes_moved_regions: whether regions may be moved a little, as no target depends on where exactly they are.

    A batch's targets are ``rows`` (N,) int64, the regions' rows in the index, ``labels`` (N,) int64, their fine-tuning
    labels, and ``flips`` (N,) bool, which of them are mirrored.

    Args:
        index: the regions, with their fine-tuning labels.
        extractor: how regions become features; ``for_training`` gives the one that is used.
        sampler: which regions make a step.
        layers: the backbone's layers by name; the last one has D features.
        settings: of the solver; an objective takes from them how heads start and whether regions are mirrored: each by
            itself or, where a step's cost grows with its images, all of an image together, which is convolved once.
        seed: with it every random number is fixed.
    """

    jitter: Jitter | None = None
    takes_moved_regions: bool = False

    def __init__(
        self,
        *,
        index: RegionIndex,
        extractor: RegionExtractor,
        sampler: RegionSampler,
        layers: Mapping[str, LayerSpec],
        settings: SolverSettings,
        seed: int,
    ) -> None:
        super().__init__()
        self.index, self.extractor, self.sampler = index, extractor.for_training(), sampler
        self.layers, self.settings, self.seed = layers, settings, seed
        self.last_layer = list(layers)[-1]

    def on(self, index: RegionIndex) -> Self:
        """The same heads and losses on other regions, neither mirrored nor varied: for validation while it is trained.

        A subclass that keeps something of its index replaces it here; what it has learnt, such as the deviations that
        normalise its targets, stays.
        """
        other = copy(self)
        other.index, other.settings, other.jitter = index, replace(self.settings, mirror=False), None
        return other

    def batch(self, iteration: int, world: World) -> Batch:
        """The regions of a step, grouped by image; each image is decoded once, each process takes some of them."""
        rng = rng_for(self.seed, "finetune", "draw", iteration)
        drawn = self.sampler.draw(self.index, rng, iteration=iteration, seed=self.seed)
        rows = checked_rows(self.sampler, drawn, self.index)
        flips = rng.random(len(rows)) < 0.5 if self.settings.mirror else np.zeros(len(rows), bool)
        jitter, varied = self.jitter or Jitter(), rng_for(self.seed, "finetune", "jitter", iteration)
        moves, factors = jitter.moves(len(rows), varied), jitter.factors(self.index.num_images, varied)
        inputs, order, ids = [], [np.zeros(0, np.int64)], []
        for image, positions in world.own(list(self.index.by_image(rows))):
            sample = self.index.samples[image]
            boxes, pixels = self.index.boxes[rows[positions]], sample_image(sample)
            if jitter.boxes:
                boxes = moved(boxes, moves[positions], sample.size)
            if jitter.colours:
                pixels = coloured(pixels, factors[image])
            if self.extractor.per_image:
                flips[positions] = flips[positions[0]]
            inputs.append(self.extractor.prepare(pixels, boxes, flips[positions]))
            order.append(positions)
            ids.append(sample.image_id)
        own = np.concatenate(order)
        targets = {"rows": rows[own], "labels": self.index.label[rows[own]], "flips": flips[own]}
        return Batch(inputs, targets, ids, total=len(rows))

    def head_layers(self) -> dict[str, str]:
        """The layer that each of its heads stands on: the last one."""
        return dict.fromkeys(self.leaves, self.last_layer)

    def features(self, backbone: Backbone, batch: Batch, layer: str = "") -> Tensor:
        """(N, D) features of the batch's regions in a layer of the backbone, by default in its last one."""
        name = layer or self.last_layer
        return self.extractor.forward(backbone, batch.inputs, [name])[name]


@OBJECTIVES.register()
class RegionSoftmax(RegionObjective):
    """Tells the K classes and background of regions apart: softmax cross-entropy, averaged over the batch.

    Source: R-CNN, section 2.3 (domain-specific fine-tuning).

    Example:
        >>> from detkit.config.schema import fields_of, given_of
        >>> sorted(fields_of(RegionSoftmax)), sorted(given_of(RegionSoftmax))  # its keys, and what the solver gives it
        ([], ['extractor', 'index', 'layers', 'sampler', 'seed', 'settings'])
    """

    leaves = ("class",)
    takes_moved_regions = True

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        dim, num_outputs = self.layers[self.last_layer].dim, self.index.num_classes + 1
        self.classes = new_head(dim, num_outputs, std=self.settings.head_std, seed=self.seed, name="finetune")

    def prepare(self, backbone: Backbone, compute: Compute) -> None:
        """Centres and scales what the head sees, where the settings ask for it."""
        if self.settings.head_norm:
            seen = first_features(self, partial(self.features, backbone))
            self.classes.calibrate(seen, self.settings.head_norm)

    def losses(self, backbone: Backbone, batch: Batch) -> Losses:
        """Cross-entropy; the shares of foreground and of background regions that are told right."""
        features = self.features(backbone, batch)
        scores = self.classes(features).float()
        labels = torch.from_numpy(batch.targets["labels"]).to(scores.device)
        loss = F.cross_entropy(scores, labels, reduction="sum") / batch.total
        return Losses({"class": loss}, regions_right(scores.detach(), labels))

    def heads(self) -> dict[str, LinearHead]:
        """``class``: K classes, then background."""
        return {"class": plain_head(self.classes)}


def regions_right(scores: Tensor, labels: Tensor) -> dict[str, tuple[int, int]]:
    """How many foreground and how many background regions are told right, of how many.

    Args:
        scores: (N, K+1), background last.
        labels: (N,) int64 0..K.
    """
    right = scores.argmax(1) == labels
    is_background = labels == scores.shape[1] - 1
    kinds = {"foreground_accuracy": right[~is_background], "background_accuracy": right[is_background]}
    return {name: (int(of_kind.sum()), len(of_kind)) for name, of_kind in kinds.items()}
