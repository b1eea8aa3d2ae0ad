"""The stage that keeps features of regions on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from detkit.config.build import build
from detkit.config.node import Config
from detkit.errors import ConfigError
from detkit.regions.features import IMAGES_TOGETHER, Request, feature_file
from detkit.regions.index import RegionIndex
from detkit.registry import BOX_HEADS, STAGES
from detkit.run.disk import DiskNeed, feature_bytes
from detkit.run.shards import save_tensors
from detkit.run.stage import Context, Ref, Stage
from detkit.stages.common import (
    FEATURE_SECTIONS,
    layers_read,
    network_layers,
    network_ref,
    region_features,
    region_index,
)


@STAGES.register()
class Extract(Stage):
    """Features of regions, kept on disk for FEATURES.ROLES unless they are streamed."""

    version = 2
    unhashed = ("BOX_HEAD.*", "DATA.TRAIN_DIFFICULT")
    derived = {
        "layers": "FEATURES.LAYERS",
        "max_boxes": "PROPOSALS.TRAIN_MAX_BOXES",
        "difficult": "DATA.TRAIN_DIFFICULT",
    }
    shared = True

    def sections(self, config: Config) -> tuple[str, ...]:
        """What decides a feature; what decides the rows is in ``extra``."""
        return FEATURE_SECTIONS

    def roles(self, config: Config) -> tuple[str, ...]:
        """The stored splits, where anything reads features."""
        return extracted_roles(config)

    def reads_truths(self, role: str) -> bool:
        """Ground truths are regions to learn from; at test there are none."""
        return role != "TEST"

    def inputs(self, config: Config, role: str) -> Mapping[str, Ref]:
        """The network and the split's proposals."""
        return {"network": network_ref(config), "proposals": ("Propose", role)}

    def extra(self, config: Config, role: str) -> dict[str, Any]:
        """Which rows there are, and which of them are kept of which layers."""
        kept = {"layers": _kept_layers(config, role)}
        if role == "TEST":
            return {"truths": self.reads_truths(role), "max_boxes": 0, **kept}
        most, difficult = config.PROPOSALS.TRAIN_MAX_BOXES, config.DATA.TRAIN_DIFFICULT
        return {"truths": self.reads_truths(role), "max_boxes": most, "difficult": difficult, **kept}

    def disk(self, context: Context) -> DiskNeed:
        """The features of the split that are not there yet, once its proposals are."""
        if "proposals" not in context.inputs:
            return DiskNeed()
        wanted = rows_kept(context.config, context.extra["layers"], _index(context))
        rows = {layer: int(kept.sum()) for layer, kept in wanted.items()}
        return DiskNeed(feature_bytes(rows, network_layers(context.config))).without(context.folder)

    def run(self, context: Context) -> None:
        """Writes a file an image, see ``StoredFeatures``."""
        index = _index(context)
        wanted = rows_kept(context.config, context.extra["layers"], index)
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
    extra = context.extra
    return region_index(context, context.role, with_truths=extra["truths"], max_boxes=extra["max_boxes"])


def extracted_roles(config: Config) -> tuple[str, ...]:
    """The roles whose features the recipe keeps on disk."""
    if "Extract" not in config.STAGES or config.FEATURES.STORE == "stream":
        return ()
    return tuple(role for role in ("TRAIN", "TEST") if role in config.FEATURES.ROLES and layers_read(config, role))


def feature_cache(config: Config, role: str) -> Mapping[str, Ref]:
    """The step that keeps a role's features, by the name under which stages look for it."""
    return {"features": ("Extract", role)} if role in extracted_roles(config) else {}


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
        rows.setdefault(read["BOX_HEAD"], _example_settings(config) if role == "TRAIN" else "all")
    return rows


def _example_settings(config: Config) -> dict[str, Any]:
    keys = BOX_HEADS.get(config.BOX_HEAD.NAME).example_keys
    return {key: config.BOX_HEAD[config.BOX_HEAD.NAME][key] for key in keys}


def rows_kept(config: Config, rules: Mapping[str, Any], index: RegionIndex) -> dict[str, np.ndarray]:
    """{layer: (R,) bool} the rows whose features ``Extract`` stores.

    Args:
        config: BOX_HEAD.
        rules: ``layers`` of what ``Extract.extra`` gave.
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
