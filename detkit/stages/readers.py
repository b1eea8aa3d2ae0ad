"""What the classifier and the box head of a recipe read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detkit.backbones.base import LayerSpec
from detkit.backbones.shapes import network_layers, shape_of_network
from detkit.config.build import build
from detkit.config.node import Config
from detkit.errors import ConfigError
from detkit.regions.base import RegionExtractor
from detkit.registry import BOX_HEADS, CLASSIFIERS, nearest


def feature_layers(config: Config, *, training: bool = False) -> Mapping[str, LayerSpec]:
    """The shapes of a region's features by layer: the backbone's, with channels that the region extractor adds.

    Args:
        config: holds BACKBONE and REGION_EXTRACTOR.
        training: whether they are those that fine-tuning learns from.
    """
    extractor: RegionExtractor = build(config, "REGION_EXTRACTOR", input_size=shape_of_network(config).input_size)
    return (extractor.for_training() if training else extractor).describe(network_layers(config))


def read_layer(config: Config, slot: str) -> str:
    """The layer that CLASSIFIER or BOX_HEAD reads.

    Raises:
        ConfigError: if the backbone has no such layer.
    """
    layers, name = network_layers(config), config[slot].LAYER
    if not name:
        return list(layers)[-1]
    if name not in layers:
        raise ConfigError(
            f"{slot}.LAYER: {config.BACKBONE.NAME} has no layer {name!r}.{nearest(name, layers)} "
            f"Layers: {', '.join(layers)}."
        )
    return str(name)


def build_reader(config: Config, slot: str, num_classes: int) -> tuple[Any, str]:
    """The classifier or box head of a slot, untrained, and the layer that it reads.

    Raises:
        ConfigError: if it takes over a head of fine-tuning that has seen only a part of a region's features.
    """
    layer = read_layer(config, slot)
    dim = feature_layers(config)[layer].dim
    component = build(config, slot, num_classes=num_classes, feature_dim=dim)
    tuned = feature_layers(config, training=True)[layer].dim if component.needs_head else dim
    if dim != tuned:
        raise ConfigError(
            f"REGION_EXTRACTOR.{config.REGION_EXTRACTOR.NAME}: a region has {dim} features of {layer}, but {tuned} "
            f"in fine-tuning, so {slot}.NAME: {config[slot].NAME} cannot take over the tuned head; use a part that "
            "learns from features, such as LinearSVM without SOFTMAX_WEIGHT or Ridge, or an extractor that adds none"
        )
    return component, layer


def layers_read(config: Config, role: str) -> dict[str, str]:
    """{"CLASSIFIER": layer, "BOX_HEAD": layer}: the layers whose features are read, at test (TEST) or in training.

    A box head that never uses features is left out. For training, so is a component that does not learn from them.
    """
    classifier, head = CLASSIFIERS.get(config.CLASSIFIER.NAME), BOX_HEADS.get(config.BOX_HEAD.NAME)
    reads = {
        "CLASSIFIER": role == "TEST" or classifier.reads_features,
        "BOX_HEAD": head.reads_features and (role == "TEST" or head.learns_from_features),
    }
    return {slot: read_layer(config, slot) for slot, does in reads.items() if does}
