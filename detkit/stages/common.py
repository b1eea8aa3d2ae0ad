"""What several stages look up in the same way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from detkit.backbones.base import Backbone, LayerSpec
from detkit.backbones.weights import load_weights
from detkit.config.build import build
from detkit.config.node import Config
from detkit.data.base import Dataset
from detkit.errors import ConfigError, DataError
from detkit.regions.features import ComputedFeatures, RegionFeatures, StoredFeatures
from detkit.regions.gathered import GatheredFeatures
from detkit.regions.index import RegionIndex
from detkit.regions.network import RegionNetwork
from detkit.registry import BOX_HEADS, CLASSIFIERS, nearest
from detkit.run.shards import split_images
from detkit.run.stage import Context, Ref
from detkit.structures import OTHER_CLASS, Boxes, Proposals
from detkit.system.seeding import rng_for

NETWORK = "network.safetensors"
HEAD = "head.safetensors"
PROPOSALS = "proposals.safetensors"
FEATURE_SECTIONS = ("BACKBONE.*", "REGION_EXTRACTOR", "COMPUTE")
"""The keys that decide a region's features, beside the weights."""


def network_ref(config: Config) -> Ref:
    """The step whose network computes the features."""
    return ("Finetune" if "Finetune" in config.STAGES else "Pretrain", "")


def network_layers(config: Config) -> Mapping[str, LayerSpec]:
    """The layers of the configured backbone, without making its weights."""
    with torch.device("meta"):
        layers: Mapping[str, LayerSpec] = build(config, "BACKBONE").layers
    return layers


def read_layer(config: Config, slot: str) -> str:
    """The layer that CLASSIFIER or BOX_HEAD reads.

    Raises:
        ConfigError: the backbone has no such layer.
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
    """The classifier or box head of a slot, untrained, and the layer that it reads."""
    layer = read_layer(config, slot)
    dim = network_layers(config)[layer].dim
    return build(config, slot, num_classes=num_classes, feature_dim=dim), layer


def layers_read(config: Config, role: str) -> dict[str, str]:
    """{"CLASSIFIER": layer, "BOX_HEAD": layer} whose features are read: in training (TRAIN) or at test (TEST).

    A head that never looks at features is left out, and so is a classifier that learns nothing from them.
    """
    classifier, head = CLASSIFIERS.get(config.CLASSIFIER.NAME), BOX_HEADS.get(config.BOX_HEAD.NAME)
    reads = {
        "CLASSIFIER": role == "TEST" or classifier.reads_features,
        "BOX_HEAD": head.reads_features,
    }
    return {slot: read_layer(config, slot) for slot, does in reads.items() if does}


def load_network(context: Context) -> Backbone:
    """The backbone with the weights of the input ``network``."""
    backbone: Backbone = build(context.config, "BACKBONE")
    load_weights(backbone, str(context.inputs["network"] / NETWORK))
    return backbone


def load_proposals(context: Context, role: str) -> list[Proposals]:
    """The proposals of every image of a role's split, from the input ``proposals``."""
    found = split_images(context.inputs["proposals"] / PROPOSALS)
    samples = context.dataset(role)
    return [
        Proposals(Boxes(one["boxes"]), one["objectness"], sample.size)
        for one, sample in zip(found, samples, strict=True)
    ]


def region_index(context: Context, role: str, *, with_truths: bool, max_boxes: int = 0) -> RegionIndex:
    """The regions of a role's split.

    Args:
        context: the stage's, with the input ``proposals``.
        role: FINETUNE, TRAIN or TEST.
        with_truths: whether ground truths are regions, too.
        max_boxes: proposals of an image that are drawn at random, from its id alone; 0 takes all.
    """
    dataset = context.dataset(role)
    return RegionIndex.build(
        list(dataset),
        [_drawn(p, max_boxes, s.image_id) for p, s in zip(load_proposals(context, role), dataset, strict=True)],
        len(dataset.class_names),
        difficult=context.config.DATA.TRAIN_DIFFICULT if with_truths else "use",
        with_truths=with_truths,
    )


def refuse_without_truths(data: Mapping[str, Dataset]) -> None:
    """Refuses a data set in which no image has a ground truth.

    Raises:
        DataError: naming its role.
    """
    for role, dataset in data.items():
        truths = [sample.annotations for sample in dataset if sample.annotations is not None]
        if all(bool((truth.labels == OTHER_CLASS).all()) for truth in truths):
            raise DataError(f"DATA.{role}: none of its {len(dataset)} images has a ground truth to learn from")


def _drawn(proposals: Proposals, most: int, image_id: str) -> Proposals:
    if not most or len(proposals) <= most:
        return proposals
    rows = torch.from_numpy(np.sort(rng_for(0, "proposals", image_id).permutation(len(proposals))[:most]))
    return Proposals(proposals.boxes[rows], proposals.objectness[rows], proposals.image_size)


def gathered_features(context: Context, index: RegionIndex) -> RegionFeatures:
    """The features of these regions for what learns from them in the first process; the others must serve it."""
    features = region_features(context, index)
    if isinstance(features, ComputedFeatures) and context.world.size > 1:
        return GatheredFeatures(features, context.world)
    return features


def region_features(context: Context, index: RegionIndex) -> RegionFeatures:
    """The features of these regions: those that were stored, else computed on demand."""
    if "features" in context.inputs:
        return StoredFeatures(index, context.inputs["features"])
    backbone = load_network(context)
    extractor = build(context.config, "REGION_EXTRACTOR", input_size=backbone.input_size)
    network = RegionNetwork(backbone, extractor, compute=context.compute, batch=context.config.RUNTIME.BATCH)
    return ComputedFeatures(index, network, workers=context.workers)
