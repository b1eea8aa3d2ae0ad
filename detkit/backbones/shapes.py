"""Shapes of the configured backbone, without its weights."""

from __future__ import annotations

import json
from collections.abc import Mapping

import torch

from detkit.backbones.base import Backbone, LayerSpec
from detkit.config.build import build
from detkit.config.node import Config


def shape_of_network(config: Config) -> Backbone:
    """The backbone on torch's device "meta", for its shapes only; made once for a config and its views."""

    def make() -> Backbone:
        with torch.device("meta"):
            backbone: Backbone = build(config, "BACKBONE")
        return backbone

    return config.once(("BACKBONE", json.dumps(config.component("BACKBONE"))), make)


def network_layers(config: Config) -> Mapping[str, LayerSpec]:
    """The layers of the backbone by name."""
    return shape_of_network(config).layers


def network_bytes(config: Config) -> int:
    """Size of the backbone's file in bytes."""
    return sum(tensor.nbytes for tensor in shape_of_network(config).state_dict().values())
