"""The objective of pre-training."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from detkit.backbones.base import Backbone
from detkit.regions.passes import device_of
from detkit.regions.source import LinearHead
from detkit.registry import OBJECTIVES
from detkit.system.compute import Compute
from detkit.system.world import World
from detkit.training.objective import Batch, Losses, Objective, first_features, new_head, plain_head
from detkit.training.solver import SolverSettings


class BatchMaker(Protocol):
    """Makes this process's part of the batch of an iteration."""

    def __call__(self, iteration: int, world: World) -> Batch:
        """The result depends on the arguments alone. Several threads call it at once."""


@OBJECTIVES.register()
class ImageSoftmax(Objective):
    """Classifies images of one object each, by softmax cross-entropy averaged over the batch.

    Args:
        batches: makes batches of (N, S, S, 3) uint8 RGB crops with ``labels``.
        num_classes: K.
        feature_dim: D, number of features of the backbone's last layer.
        settings: settings of the solver, which say how heads are initialised.
        seed: fixes every random number.

    Source: R-CNN, section 2.3 (supervised pre-training).

    Example:
        >>> from detkit.config.schema import fields_of, given_of
        >>> sorted(fields_of(ImageSoftmax)), sorted(given_of(ImageSoftmax))  # its keys, and what the solver gives it
        ([], ['batches', 'feature_dim', 'num_classes', 'seed', 'settings'])
    """

    leaves = ("class",)

    def __init__(
        self, *, batches: BatchMaker, num_classes: int, feature_dim: int, settings: SolverSettings, seed: int
    ) -> None:
        super().__init__()
        self.batches, self.settings = batches, settings
        self.classes = new_head(feature_dim, num_classes, std=settings.head_std, seed=seed, name="pretrain")

    def prepare(self, backbone: Backbone, compute: Compute) -> None:
        """Centres and scales the features of the head if HEAD_NORM is above 0."""
        if self.settings.head_norm:
            seen = first_features(self, lambda batch: last_layer(backbone, batch.inputs))
            self.classes.calibrate(seen, self.settings.head_norm)

    def batch(self, iteration: int, world: World) -> Batch:
        """Random crops of a part of the step's images."""
        return self.batches(iteration, world)

    def losses(self, backbone: Backbone, batch: Batch) -> Losses:
        """Cross-entropy, and the share of images that are classified correctly."""
        scores = self.classes(last_layer(backbone, batch.inputs)).float()
        labels = torch.from_numpy(batch.targets["labels"]).to(scores.device)
        loss = F.cross_entropy(scores, labels, reduction="sum") / batch.total
        right = int((scores.detach().argmax(1) == labels).sum())
        return Losses({"class": loss}, {"accuracy": (right, len(labels))})

    def heads(self) -> dict[str, LinearHead]:
        """``class``: (K, D), a row a class."""
        return {"class": plain_head(self.classes)}


def last_layer(backbone: Backbone, pixels: np.ndarray) -> Tensor:
    """(N, D) features of (N, S, S, 3) uint8 RGB crops in the backbone's last layer."""
    crops = backbone.preprocessing(torch.from_numpy(pixels).to(device_of(backbone)))
    return backbone(crops, [backbone.last_layer])[backbone.last_layer]
