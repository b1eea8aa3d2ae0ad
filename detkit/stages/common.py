"""Functions that several stages share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detkit.backbones.base import Backbone, LayerSpec
from detkit.backbones.shapes import network_layers, shape_of_network
from detkit.backbones.weights import load_weights
from detkit.config.build import build
from detkit.config.node import Config
from detkit.data.base import Dataset
from detkit.data.images import sample_image
from detkit.detection.postprocess import Postprocess
from detkit.detection.scorer import OneImage
from detkit.errors import ConfigError, DataError
from detkit.regions.features import CompletedFeatures, ComputedFeatures, RegionFeatures, StoredFeatures
from detkit.regions.gathered import GatheredFeatures
from detkit.regions.index import RegionIndex
from detkit.regions.network import RegionNetwork
from detkit.regions.source import LinearHead
from detkit.registry import BOX_HEADS, CLASSIFIERS, nearest
from detkit.run.kinds import FEATURES, HEADS_FILE, NETWORK_FILE, PROPOSALS_FILE
from detkit.run.shards import save_tensors, split_images
from detkit.run.stage import Context, Need
from detkit.structures import OTHER_CLASS, Boxes, Proposals
from detkit.structures.state import read_tensors
from detkit.system.seeding import rng_for

FEATURE_SECTIONS = ("BACKBONE.*", "REGION_EXTRACTOR", "COMPUTE")
"""The keys that decide a region's features, beside the weights."""


def feature_layers(config: Config) -> Mapping[str, LayerSpec]:
    """The shapes of a region's features by layer: the backbone's, with channels that the region extractor adds."""
    extractor = build(config, "REGION_EXTRACTOR", input_size=shape_of_network(config).input_size)
    layers: Mapping[str, LayerSpec] = extractor.describe(network_layers(config))
    return layers


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
    """The classifier or box head of a slot, untrained, and the layer that it reads."""
    layer = read_layer(config, slot)
    dim = feature_layers(config)[layer].dim
    return build(config, slot, num_classes=num_classes, feature_dim=dim), layer


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


def is_stored(config: Config, role: str) -> bool:
    """Whether the recipe stores the features of a role on disk and a component reads them."""
    return config.FEATURES.STORE == "disk" and role in config.FEATURES.ROLES and bool(layers_read(config, role))


def stored_features(config: Config, role: str) -> dict[str, Need]:
    """The need for stored features, if there are any. They only save the time of computing them again."""
    return {"features": Need(FEATURES, role, only_saves_time=True)} if is_stored(config, role) else {}


def save_heads(context: Context, heads: Mapping[str, LinearHead]) -> None:
    """Writes a network's heads into the folder of the stage that tuned it."""
    tensors: dict[str, Tensor] = {}
    for name, head in heads.items():
        tensors |= {f"{name}.weight": head.weight, f"{name}.bias": head.bias}
    save_tensors(context.folder / HEADS_FILE, tensors)


def load_heads(context: Context) -> dict[str, LinearHead]:
    """The heads beside the input ``network``, by name; empty if the network was not tuned."""
    file = context.inputs["network"] / HEADS_FILE
    tensors = read_tensors(file) if file.is_file() else {}
    names = dict.fromkeys(key.rpartition(".")[0] for key in tensors)
    return {name: LinearHead(tensors[f"{name}.weight"], tensors[f"{name}.bias"]) for name in names}


def load_network(context: Context) -> Backbone:
    """The backbone with the weights of the input ``network``."""
    backbone: Backbone = build(context.config, "BACKBONE")
    load_weights(backbone, str(context.inputs["network"] / NETWORK_FILE))
    return backbone


def load_proposals(context: Context, role: str) -> list[Proposals]:
    """The proposals of every image of a role's split, from the input ``proposals``."""
    return read_proposals(context.inputs["proposals"], context.dataset(role))


def read_proposals(folder: Path, dataset: Dataset) -> list[Proposals]:
    """The proposals of every image of a data set, from the result of the stage Propose."""
    found = split_images(folder / PROPOSALS_FILE)
    return [Proposals(Boxes(one["boxes"]), one["objectness"], s.size) for one, s in zip(found, dataset, strict=True)]


def region_index(context: Context, role: str, *, with_truths: bool, max_boxes: int = 0, **labels: Any) -> RegionIndex:
    """The regions of a role's split.

    Args:
        context: context of the stage, with the input ``proposals``.
        role: FINETUNE, TRAIN, VAL or TEST.
        with_truths: whether ground truths are regions, too.
        max_boxes: number of proposals of an image that are drawn at random; 0 takes all. The draw depends on the id
            of the image alone.
        labels: thresholds of the fine-tuning labels, by the names of ``RegionIndex.build``.
    """
    dataset = context.dataset(role)
    return RegionIndex.build(
        list(dataset),
        [_drawn(p, max_boxes, s.image_id) for p, s in zip(load_proposals(context, role), dataset, strict=True)],
        len(dataset.class_names),
        difficult=context.config.DATA.TRAIN_DIFFICULT if with_truths else "use",
        with_truths=with_truths,
        **labels,
    )


def refuse_without_truths(data: Mapping[str, Dataset]) -> None:
    """Refuses a data set in which no image has a ground truth.

    Raises:
        DataError: if there is such a data set; it names the role.
    """
    for role, dataset in data.items():
        truths = [sample.annotations for sample in dataset if sample.annotations is not None]
        if all(bool((truth.labels == OTHER_CLASS).all()) for truth in truths):
            raise DataError(f"DATA.{role}: none of its {len(dataset)} images has a ground truth to learn from")


def refuse_votes_without_weights(config: Config) -> None:
    """Refuses votes that are weighted by margins: a box whose margin is below 0 would have no vote.

    Raises:
        ConfigError: if VOTE_IOU is set without VOTE_SLOPE and the classifier's scores are margins.
    """
    post, name = config.POSTPROCESS, config.CLASSIFIER.NAME
    if post.VOTE_IOU is not None and post.VOTE_SLOPE is None and CLASSIFIERS.get(name).score_kind == "margin":
        raise ConfigError(
            f"POSTPROCESS.VOTE_IOU: {post.VOTE_IOU} weighs boxes by their scores, and scores of {name} are margins, "
            "which are mostly below 0 and then weigh nothing; set POSTPROCESS.VOTE_SLOPE, for example to 3"
        )


def _drawn(proposals: Proposals, most: int, image_id: str) -> Proposals:
    if not most or len(proposals) <= most:
        return proposals
    rows = torch.from_numpy(np.sort(rng_for(0, "proposals", image_id).permutation(len(proposals))[:most]))
    return Proposals(proposals.boxes[rows], proposals.objectness[rows], proposals.image_size)


def gathered_features(context: Context, index: RegionIndex) -> RegionFeatures:
    """The features of these regions, for a component that learns in the first process; the others must serve it."""
    features = region_features(context, index)
    if isinstance(features, ComputedFeatures) and context.world.size > 1:
        return GatheredFeatures(features, context.world)
    return features


def region_features(context: Context, index: RegionIndex) -> RegionFeatures:
    """The features of these regions: stored ones if there are any, else computed on request."""
    if "features" in context.inputs:
        dims = {layer: spec.dim for layer, spec in feature_layers(context.config).items()}
        return StoredFeatures(index, context.inputs["features"], dims)
    return ComputedFeatures(index, region_network(context), workers=context.workers)


def with_layers(context: Context, features: RegionFeatures, *layers: str) -> RegionFeatures:
    """The features; if stored ones lack one of the layers, requests for that layer are computed."""
    if isinstance(features, StoredFeatures) and not all(features.holds(layer) for layer in layers):
        computed = ComputedFeatures(features.index, region_network(context), workers=context.workers)
        return CompletedFeatures(features, computed)
    return features


def region_network(context: Context) -> RegionNetwork:
    """The input ``network`` with the region extractor, which computes features."""
    backbone = load_network(context)
    extractor = build(context.config, "REGION_EXTRACTOR", input_size=backbone.input_size)
    return RegionNetwork(backbone, extractor, compute=context.compute, batch=context.config.RUNTIME.BATCH)


def new_crops(
    context: Context, features: RegionFeatures, layers: Sequence[str], settings: Postprocess
) -> Callable[[int], OneImage] | None:
    """The images of a split, by number, to compute features of new regions; None if the settings need none.

    Args:
        context: context of the stage, with the input ``network``.
        features: features of the split's regions; if they have a network, it is used.
        layers: layers to compute.
        settings: say how often the box head moves a candidate; once needs no new regions.
    """
    if settings.refine_iterations == 1:
        return None
    network = features.network or region_network(context)

    def image(number: int) -> OneImage:
        sample = features.index.samples[number]
        return OneImage(sample.size, lambda boxes: network.of_image(sample_image(sample), boxes, layers))

    return image
