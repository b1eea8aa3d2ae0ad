"""The stages that learn from features: classifiers and box heads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import ClassVar

from safetensors.torch import load_file

from detkit.config.build import build
from detkit.config.node import Config
from detkit.data.base import Dataset
from detkit.engine.seeding import rng_for
from detkit.errors import ConfigError
from detkit.progress import progress
from detkit.regions.index import RegionIndex
from detkit.regions.source import LinearHead
from detkit.registry import STAGES
from detkit.stages.artifacts import write_atomically
from detkit.stages.base import Context, Ref, Stage
from detkit.stages.common import (
    FEATURE_SECTIONS,
    HEAD,
    layers_read,
    network_layers,
    network_ref,
    read_layer,
    refuse_without_truths,
    region_features,
    region_index,
)
from detkit.stages.regions import feature_cache
from detkit.stages.shards import save_tensors

CLASSIFIER = "classifier.safetensors"
BOX_HEAD = "box_head.safetensors"
REPORT = "report.json"
LEARNER_SECTIONS = (*FEATURE_SECTIONS, "SEED", "DATA.TRAIN_DIFFICULT", "PROPOSALS.TRAIN_MAX_BOXES")


class _Learner(Stage):
    """What both learners depend on: the training split's regions and the network.

    Attributes:
        slot: the config slot of what is learnt.
    """

    slot: ClassVar[str]

    def roles(self, config: Config) -> tuple[str, ...]:
        """The training split."""
        return ("TRAIN",)

    def inputs(self, config: Config, role: str) -> Mapping[str, Ref]:
        """The network and the split's proposals."""
        return {"network": network_ref(config), "proposals": ("Propose", role)}

    def caches(self, config: Config, role: str) -> Mapping[str, Ref]:
        """The stored features, where the recipe keeps them and this learner reads any."""
        return feature_cache(config, role) if self.slot in layers_read(config, role) else {}

    def check_data(self, data: Mapping[str, Dataset]) -> None:
        """There is something to learn from."""
        refuse_without_truths(data)


def _training_index(context: Context) -> RegionIndex:
    most = context.config.PROPOSALS.TRAIN_MAX_BOXES
    return region_index(context, context.role, with_truths=True, max_boxes=most)


@STAGES.register()
class Classify(_Learner):
    """One classifier per class on a layer's features. Source: R-CNN, section 2.3 (object category classifiers)."""

    slot = "CLASSIFIER"

    def sections(self, config: Config) -> tuple[str, ...]:
        """The classifier, what decides its features, and the seed."""
        return ("CLASSIFIER", *LEARNER_SECTIONS)

    def check(self, config: Config) -> None:
        """Builds the classifier; refuses one without the fine-tuned head, or off the layer, that it needs."""
        layer, layers = read_layer(config, "CLASSIFIER"), network_layers(config)
        name = config.CLASSIFIER.NAME
        if build(config, "CLASSIFIER", num_classes=1, feature_dim=layers[layer].dim).needs_head:
            if "Finetune" not in config.STAGES:
                raise ConfigError(
                    f"CLASSIFIER.NAME: {name} is the fine-tuned head; add Finetune to STAGES or use LinearSVM"
                )
            if layer != list(layers)[-1]:
                raise ConfigError(f"CLASSIFIER.LAYER: {name} reads the last layer, {list(layers)[-1]}, got {layer}")

    def run(self, context: Context) -> None:
        """Writes classifier.safetensors and report.json."""
        index = _training_index(context)
        layer = read_layer(context.config, "CLASSIFIER")
        dim = network_layers(context.config)[layer].dim
        classifier = build(context.config, "CLASSIFIER", num_classes=index.num_classes, feature_dim=dim)
        source = region_features(context, index).source(layer)
        head_file = context.inputs["network"] / HEAD
        head = LinearHead(**load_file(head_file)) if head_file.is_file() else None
        bar = progress("classify", index.num_images, "image")
        classifier.fit(source, rng_for(context.config.SEED, "classify"), head=head, progress=bar)
        bar.close()
        save_tensors(context.folder / CLASSIFIER, classifier.state())
        write_atomically(context.folder / REPORT, json.dumps(classifier.report(), indent=1).encode())


@STAGES.register()
class Regress(_Learner):
    """One box regressor per class on a layer's features. Source: R-CNN, appendix C."""

    slot = "BOX_HEAD"

    def sections(self, config: Config) -> tuple[str, ...]:
        """The box head, what decides its features, and the seed."""
        return ("BOX_HEAD", *LEARNER_SECTIONS)

    def check(self, config: Config) -> None:
        """Builds the box head."""
        layer = read_layer(config, "BOX_HEAD")
        build(config, "BOX_HEAD", num_classes=1, feature_dim=network_layers(config)[layer].dim)

    def run(self, context: Context) -> None:
        """Writes box_head.safetensors and report.json."""
        index = _training_index(context)
        layer = read_layer(context.config, "BOX_HEAD")
        dim = network_layers(context.config)[layer].dim
        head = build(context.config, "BOX_HEAD", num_classes=index.num_classes, feature_dim=dim)
        source = region_features(context, index).source(layer)
        bar = progress("regress", index.num_classes, "class")
        head.fit(source, rng_for(context.config.SEED, "regress"), progress=bar)
        bar.close()
        save_tensors(context.folder / BOX_HEAD, head.state())
        write_atomically(context.folder / REPORT, json.dumps(head.report(), indent=1).encode())
