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
    """An objective on regions that a sampler draws and an extractor prepares; a subclass computes the losses.

    Attributes:
        jitter: how much regions and colours change at random; None changes neither. ``finetune`` sets it.
        takes_moved_regions: whether regions may be moved a little. It must be False if a target depends on their exact
            position.

    The targets of a batch are ``rows`` (N,) int64, the regions' rows in the index; ``labels`` (N,) int64, their
    fine-tuning labels; and ``flips`` (N,) bool, whether a region is mirrored.

    Args:
        index: the regions, with their fine-tuning labels.
        extractor: turns regions into features; its ``for_training`` is used.
        sampler: draws the regions of a step.
        layers: the backbone's layers by name. ``self.layers`` has the lengths that heads need: those of a region's
            features, as the extractor describes them. The last layer has D features.
        settings: settings of the solver, which say how heads are initialised and whether regions are mirrored. Each
            region is mirrored by itself; with a ``per_image`` extractor all regions of an image are mirrored together,
            so that the image is convolved once.
        seed: fixes every random number.
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
        self.layers, self.settings, self.seed = self.extractor.describe(layers), settings, seed
        self.last_layer = list(layers)[-1]

    def on(self, index: RegionIndex) -> Self:
        """The same heads and losses on other regions, neither mirrored nor changed at random, for validation.

        A subclass that stores anything of its index must replace it here. What it has learnt, such as the deviations
        that normalise its targets, stays.
        """
        other = copy(self)
        other.index, other.settings, other.jitter = index, replace(self.settings, mirror=False), None
        return other

    def batch(self, iteration: int, world: World) -> Batch:
        """The regions of a step, grouped by image. Each image is decoded once; each part takes whole images."""
        rng = rng_for(self.seed, "finetune", "draw", iteration)
        drawn = self.sampler.draw(self.index, rng, iteration=iteration, seed=self.seed)
        rows = checked_rows(self.sampler, drawn, self.index)
        flips = rng.random(len(rows)) < 0.5 if self.settings.mirror else np.zeros(len(rows), bool)
        jitter, varied = self.jitter or Jitter(), rng_for(self.seed, "finetune", "jitter", iteration)
        moves = jitter.moves(len(rows), varied)
        factors = jitter.factors(self.index.num_images if jitter.colours else 0, varied)
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
        """The layer that each head reads, by the name of the head: here always the last one."""
        return dict.fromkeys(self.leaves, self.last_layer)

    def features(self, backbone: Backbone, batch: Batch, layer: str = "") -> Tensor:
        """(N, D) features of the batch's regions in a layer of the backbone; by default in its last one."""
        name = layer or self.last_layer
        return self.extractor.forward(backbone, batch.inputs, [name])[name]


@OBJECTIVES.register()
class RegionSoftmax(RegionObjective):
    """Classifies regions into K classes and background, by softmax cross-entropy averaged over the batch.

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
        """Centres and scales the features of the head if HEAD_NORM is above 0."""
        if self.settings.head_norm:
            seen = first_features(self, partial(self.features, backbone))
            self.classes.calibrate(seen, self.settings.head_norm)

    def losses(self, backbone: Backbone, batch: Batch) -> Losses:
        """Cross-entropy, and the shares of foreground and of background regions that are classified correctly."""
        features = self.features(backbone, batch)
        scores = self.classes(features).float()
        labels = torch.from_numpy(batch.targets["labels"]).to(scores.device)
        loss = F.cross_entropy(scores, labels, reduction="sum") / batch.total
        return Losses({"class": loss}, regions_right(scores.detach(), labels))

    def heads(self) -> dict[str, LinearHead]:
        """``class``: (K+1, D), a row a class, then background."""
        return {"class": plain_head(self.classes)}


def regions_right(scores: Tensor, labels: Tensor) -> dict[str, tuple[int, int]]:
    """Counts of foreground and of background regions: (number classified correctly, number in all).

    Args:
        scores: (N, K+1), background last.
        labels: (N,) int64 0..K.
    """
    right = scores.argmax(1) == labels
    is_background = labels == scores.shape[1] - 1
    kinds = {"foreground_accuracy": right[~is_background], "background_accuracy": right[is_background]}
    return {name: (int(of_kind.sum()), len(of_kind)) for name, of_kind in kinds.items()}
