"""The stage that stores features of regions on disk."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from detkit.backbones.shapes import network_layers
from detkit.config.build import build
from detkit.config.node import Config
from detkit.errors import ConfigError
from detkit.regions.features import IMAGES_TOGETHER, Request, feature_file
from detkit.regions.index import RegionIndex
from detkit.registry import BOX_HEADS, STAGES
from detkit.run.cost import Cost
from detkit.run.disk import DiskNeed, feature_bytes
from detkit.run.identity import revision_of
from detkit.run.kinds import FEATURES, NETWORK, PROPOSALS
from detkit.run.shards import save_tensors
from detkit.run.stage import Context, Need, Reads, Stage
from detkit.stages.features import FEATURE_SECTIONS, is_stored, region_features
from detkit.stages.readers import feature_layers, layers_read
from detkit.stages.regions import region_index

if TYPE_CHECKING:
    from detkit.report.measure import Probe
    from detkit.run.plan import Step

LAYERS, MOST, DIFFICULT = "FEATURES.LAYERS", "PROPOSALS.TRAIN_MAX_BOXES", "DATA.TRAIN_DIFFICULT"


@STAGES.register()
class Extract(Stage):
    """Features of regions, stored on disk for FEATURES.ROLES if FEATURES.STORE is "disk".

    Example:
        >>> Extract.gives, sorted(Extract.settings)
        ('features', [])
    """

    version = 2
    gives = FEATURES
    shared = True

    def roles(self, config: Config) -> tuple[str, ...]:
        """The roles of FEATURES.ROLES whose features the recipe stores."""
        return tuple(role for role in config.FEATURES.ROLES if is_stored(config, role))

    def needs(self, config: Config, role: str) -> Mapping[str, Need]:
        """The network and the split's proposals."""
        return {"network": Need(NETWORK), "proposals": Need(PROPOSALS, role)}

    def reads(self, config: Config, role: str) -> Reads:
        """The keys that decide features, the regions, and the stored rows of each layer.

        In training, ground truths are regions, too; at test they are not.
        """
        layers = {LAYERS: partial(_kept_layers, config, role)}
        if role == "TEST":
            return Reads(settings=FEATURE_SECTIONS, content=layers, not_hashed=("BOX_HEAD.*",), images=(role,))
        return Reads(
            settings=(*FEATURE_SECTIONS, MOST, DIFFICULT),
            content=layers,
            not_hashed=("BOX_HEAD.*",),  # what of it decides the rows is in the content
            annotated=(role,),
        )

    def disk(self, context: Context) -> DiskNeed:
        """The size of the features that are not stored yet; empty until the proposals are there."""
        if "proposals" not in context.inputs:
            return DiskNeed()
        wanted = _rows_kept(context.config, context.content[LAYERS], _index(context))
        rows = {layer: int(kept.sum()) for layer, kept in wanted.items()}
        return DiskNeed(feature_bytes(rows, feature_layers(context.config))).without(context.folder)

    def estimate(self, probe: Probe, step: Step) -> Cost:
        """The time of one network pass over the split, and the size of the stored rows, from a few images."""
        seconds = probe.feature_seconds(step.config, step.role)
        if probe.run.find(PROPOSALS, step.role) is not None:
            return Cost(seconds, probe.run.disk_need(step).kept)
        dataset = step.data[step.role]
        index = probe.index(len(dataset.class_names), with_truths=step.role in step.reads.annotated)
        most = step.config.PROPOSALS.TRAIN_MAX_BOXES if step.role in step.reads.annotated else 0
        share = min(1.0, (most or len(index)) * index.num_images / max(len(index), 1))
        scale = share * len(dataset) / index.num_images
        kept = _rows_kept(step.config, step.content[LAYERS], index)
        rows = {layer: round(float(own.sum()) * scale) for layer, own in kept.items()}
        return Cost(seconds, feature_bytes(rows, feature_layers(step.config)))

    def run(self, context: Context) -> None:
        """Writes a file for each image; see ``StoredFeatures``."""
        index = _index(context)
        wanted = _rows_kept(context.config, context.content[LAYERS], index)
        every = region_features(context, index)
        own = context.world.own(every.every_row(), IMAGES_TOGETHER)
        requests = _unfinished(own, context.folder)
        rows_of = dict(requests)
        with context.progress("extract", len(own), "image", done=len(own) - len(requests)) as bar:
            for image, layers in every.images(requests, list(wanted)):
                tensors = {}
                for layer, values in layers.items():
                    keep = torch.from_numpy(np.flatnonzero(wanted[layer][rows_of[image]]))
                    tensors[layer] = values[keep].half()
                    tensors[f"{layer}.rows"] = keep
                save_tensors(feature_file(context.folder, image), tensors)
                bar.update()


def _index(context: Context) -> RegionIndex:
    """The regions whose features are computed."""
    if context.role == "TEST":
        return region_index(context, context.role, with_truths=False)
    return region_index(context, context.role, with_truths=True, max_boxes=context.config.PROPOSALS.TRAIN_MAX_BOXES)


def _kept_layers(config: Config, role: str) -> dict[str, Any]:
    """{layer: "all", or the settings of the box head whose examples alone are kept}."""
    read = layers_read(config, role)
    known = network_layers(config)
    kept = list(config.FEATURES.LAYERS)
    for layer in kept:
        if layer not in known:
            raise ConfigError(f"FEATURES.LAYERS: no layer {layer!r}; {config.BACKBONE.NAME} has {', '.join(known)}")
    if kept:
        for slot, layer in read.items():
            if layer not in kept:
                raise ConfigError(f"FEATURES.LAYERS {kept} leaves out {layer}, which {slot} reads; add it")
        return dict.fromkeys(kept, "all")
    rows: dict[str, Any] = {}
    if "CLASSIFIER" in read:
        rows[read["CLASSIFIER"]] = "all"
    if "BOX_HEAD" in read:
        rows.setdefault(read["BOX_HEAD"], "all" if role == "TEST" else _example_settings(config))
    return rows


def _example_settings(config: Config) -> dict[str, Any]:
    head = BOX_HEADS.get(config.BOX_HEAD.NAME)
    settings = {key: config.BOX_HEAD[config.BOX_HEAD.NAME][key] for key in head.example_keys}
    return {**settings, **revision_of(head)}


def _rows_kept(config: Config, rules: Mapping[str, Any], index: RegionIndex) -> dict[str, np.ndarray]:
    """{layer: (R,) bool} the rows whose features are stored.

    Args:
        config: BOX_HEAD.
        rules: what ``_kept_layers`` gave.
        index: the split's regions.
    """
    kept = {}
    for layer, rule in rules.items():
        kept[layer] = np.full(len(index), rule == "all")
        if rule != "all":
            head = build(config, "BOX_HEAD", num_classes=index.num_classes, feature_dim=1)
            kept[layer][head.example_rows(index)] = True
    return kept


def _unfinished(requests: list[Request], folder: Path) -> list[Request]:
    """The requests from the first group of images on that is not complete: groups share batches."""
    for first in range(0, len(requests), IMAGES_TOGETHER):
        if not all(feature_file(folder, image).is_file() for image, _ in requests[first : first + IMAGES_TOGETHER]):
            return requests[first:]
    return []
