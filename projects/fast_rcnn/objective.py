"""The objective of Fast R-CNN: classes and boxes together."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Annotated, Any

import torch
from torch import Tensor
from torch.nn import functional as F
from typing_extensions import Self

from detkit.backbones.base import Backbone
from detkit.config.ranges import NonNegative, Positive
from detkit.errors import ConfigError
from detkit.regions.index import RegionIndex
from detkit.regions.source import LinearHead
from detkit.registry import OBJECTIVES, nearest
from detkit.system.compute import Compute
from detkit.system.world import World
from detkit.training.objective import Batch, Losses, first_features, new_head, plain_head
from detkit.training.region_objective import RegionObjective, regions_right

from .targets import BoxTargets


@OBJECTIVES.register()
class MultiTask(RegionObjective):
    """Softmax over K classes and background, and box regression for the true class of each foreground region.

    Each loss is a sum over regions, divided by the number of all regions of the step, background too. The loss of a box
    is the sum over its four numbers.
    Source: Fast R-CNN, section 2.3 and eqs. 1-3; its code for the first weights of the box head.

    Args:
        box_layer: layer that the box head reads; empty takes the last layer, as for the class head. If the last layer
            averages over a region, it does not tell where the object is; then take the layer before it.
        box_weight: weight of the box loss against the class loss.
        sigma: the loss of a number turns from square to linear at 1 / sigma^2.
        box_std: standard deviation of the box head's Gaussian first weights.
        target_stds: four standard deviations that normalise the numbers of every box; empty takes mean and deviation
            of each class's training regions.

    Raises:
        ConfigError: if ``target_stds`` has other than 0 or 4 numbers, or the network has no layer ``box_layer``.

    Example:
        >>> from detkit.config.schema import fields_of
        >>> sorted(fields_of(MultiTask))  # its keys
        ['BOX_LAYER', 'BOX_STD', 'BOX_WEIGHT', 'SIGMA', 'TARGET_STDS']
    """

    leaves = ("class", "box")

    def __init__(
        self,
        *,
        box_layer: str = "",
        box_weight: Annotated[float, NonNegative] = 1.0,
        sigma: Annotated[float, Positive] = 1.0,
        box_std: Annotated[float, NonNegative] = 0.001,
        target_stds: tuple[Annotated[float, Positive], ...] = (),
        **given: Any,
    ) -> None:
        super().__init__(**given)
        if len(target_stds) not in (0, 4):
            raise ConfigError(
                f"OBJECTIVE.MultiTask.TARGET_STDS: {list(target_stds)} are not four numbers (x, y, width, height); "
                "allowed: four, or none"
            )
        self.box_layer = box_layer or self.last_layer
        if self.box_layer not in self.layers:
            raise ConfigError(
                f"OBJECTIVE.MultiTask.BOX_LAYER: the network has no layer {box_layer!r}."
                f"{nearest(box_layer, self.layers)} Layers: {', '.join(self.layers)}."
            )
        self.box_weight, self.sigma = box_weight, sigma
        self.targets = BoxTargets.of(self.index, mirror=self.settings.mirror, stds=target_stds)
        classes, seed = self.index.num_classes, self.seed
        last, own = (self.layers[name].dim for name in (self.last_layer, self.box_layer))
        self.classes = new_head(last, classes + 1, std=self.settings.head_std, seed=seed, name="finetune")
        self.boxes = new_head(own, 4 * classes, std=box_std, seed=seed, name="finetune boxes")

    def prepare(self, backbone: Backbone, compute: Compute) -> None:
        """Centres and scales the features of the heads if HEAD_NORM is above 0."""
        if self.settings.head_norm:
            for head, layer in ((self.classes, self.last_layer), (self.boxes, self.box_layer)):
                seen = first_features(self, partial(self.features, backbone, layer=layer))
                head.calibrate(seen, self.settings.head_norm)

    def on(self, index: RegionIndex) -> Self:
        """The same heads and losses on other regions; boxes are normalised as in training."""
        other = super().on(index)
        other.targets = self.targets.on(index)
        return other

    def batch(self, iteration: int, world: World) -> Batch:
        """The regions of a step, with the target "boxes": (N, 4) normalised moves, 0 for background."""
        made = super().batch(iteration, world)
        boxes = self.targets.take(made.targets["rows"], made.targets["flips"])
        return replace(made, targets={**made.targets, "boxes": boxes})

    def losses(self, backbone: Backbone, batch: Batch) -> Losses:
        """The terms "class" and "box", and the shares of foreground and background that are classified correctly."""
        features = self.extractor.forward(backbone, batch.inputs, sorted({self.last_layer, self.box_layer}))
        scores = self.classes(features[self.last_layer]).float()
        moves = self.boxes(features[self.box_layer]).float()
        labels, goals = (torch.from_numpy(batch.targets[name]).to(scores.device) for name in ("labels", "boxes"))
        is_object = labels < self.index.num_classes
        own = moves.unflatten(1, (-1, 4))[is_object, labels[is_object]]
        terms = {
            "class": F.cross_entropy(scores, labels, reduction="sum") / batch.total,
            "box": self.box_weight * smooth_l1(own, goals[is_object], self.sigma) / batch.total,
        }
        return Losses(terms, regions_right(scores.detach(), labels))

    def head_layers(self) -> dict[str, str]:
        """The layer of each head: the last one for ``class``, BOX_LAYER for ``box``."""
        return {**super().head_layers(), "box": self.box_layer}

    def heads(self) -> dict[str, LinearHead]:
        """``class``: (K+1, D), background last; ``box``: (4K, D), four moves of each class, not normalised."""
        return {"class": plain_head(self.classes), "box": self.targets.folded(plain_head(self.boxes))}


def smooth_l1(found: Tensor, goals: Tensor, sigma: float) -> Tensor:
    """() sum of f over the differences: f(x) = (sigma x)^2 / 2 where |x| < 1 / sigma^2, else |x| - 1 / (2 sigma^2).

    Source: Fast R-CNN, eq. 3 (sigma 1); its code for sigma.
    """
    return F.smooth_l1_loss(found, goals, reduction="sum", beta=sigma**-2)
