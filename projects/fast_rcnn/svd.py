"""Fully connected layers of lower rank, for faster detection."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from torch import nn

from detkit.backbones.base import Backbone
from detkit.backbones.factored import linear_layers, of_rank, replace_layer
from detkit.backbones.shapes import shape_of_network
from detkit.backbones.weights import save_weights
from detkit.config.node import Config
from detkit.config.ranges import NonNegative
from detkit.errors import ConfigError
from detkit.registry import STAGES
from detkit.run.kinds import HEADS_FILE, NETWORK, NETWORK_FILE
from detkit.run.stage import Context, Need, Reads, Stage
from detkit.stages.finetune import tuned_heads
from detkit.stages.networks import load_network


@dataclass(frozen=True, kw_only=True)
class CompressSettings:
    """How far fully connected layers are compressed. Config section COMPRESS.

    Args:
        ranks: ranks of fc6, fc7 and so on, in the order of the network; 0 does not change a layer.
    """

    ranks: tuple[Annotated[int, NonNegative], ...] = (1024, 256)


@STAGES.register()
class Compress(Stage):
    """The tuned network with fully connected layers of lower rank. Its heads do not change.

    Source: Fast R-CNN, sections 3.1 and 4.4.

    Example:
        >>> Compress.gives, sorted(Compress.settings)
        ('network', ['COMPRESS'])
    """

    gives = NETWORK
    settings = {"COMPRESS": CompressSettings}

    def heads(self, config: Config) -> Mapping[str, str]:
        """The heads of the network that it compresses."""
        return tuned_heads(config)

    def needs(self, config: Config, role: str) -> Mapping[str, Need]:
        """The tuned network."""
        return {"network": Need(NETWORK, heads=self.heads(config), because="Compress passes it on")}

    def reads(self, config: Config, role: str) -> Reads:
        """The network and the ranks."""
        return Reads(settings=("BACKBONE.*", "COMPRESS"))

    def check(self, config: Config) -> None:
        """Refuses more ranks than the network has fully connected layers."""
        _layers(shape_of_network(config), config.COMPRESS.RANKS)

    def run(self, context: Context) -> None:
        """Writes the network and its heads."""
        backbone = load_network(context)
        compress(backbone, context.config.COMPRESS.RANKS)
        save_weights(context.folder / NETWORK_FILE, backbone)
        shutil.copyfile(context.inputs["network"] / HEADS_FILE, context.folder / HEADS_FILE)


def compress(backbone: Backbone, ranks: Sequence[int]) -> None:
    """Replaces fully connected layers, in place, by two layers each; see ``CompressSettings`` for the ranks.

    Raises:
        ConfigError: if the network has fewer fully connected layers than ranks.
    """
    for (name, layer), rank in zip(_layers(backbone, ranks).items(), ranks, strict=False):
        if rank:
            replace_layer(backbone, name, of_rank(layer, rank))


def _layers(backbone: Backbone, ranks: Sequence[int]) -> dict[str, nn.Linear]:
    layers = linear_layers(backbone)
    if len(ranks) > len(layers):
        raise ConfigError(
            f"COMPRESS.RANKS: {list(ranks)} are {len(ranks)} numbers, but the network has {len(layers)} fully "
            f"connected layers; allowed: at most {len(layers)}"
        )
    return layers
