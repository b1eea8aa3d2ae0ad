"""The stages that learn from features: classifiers and box heads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from safetensors.torch import load_file

from detkit.config.build import build
from detkit.config.node import Config
from detkit.engine.seeding import rng_for
from detkit.errors import ConfigError
from detkit.progress import progress
from detkit.regions.index import RegionIndex
from detkit.regions.source import LinearHead
from detkit.registry import CLASSIFIERS, STAGES
from detkit.stages.artifacts import write_atomically
from detkit.stages.base import Context, Ref, Stage
from detkit.stages.common import FEATURE_SECTIONS, HEAD, network_ref, read_layer, region_features, region_index
from detkit.stages.regions import feature_cache
from detkit.stages.shards import save_tensors

CLASSIFIER = "classifier.safetensors"
BOX_HEAD = "box_head.safetensors"
REPORT = "report.json"
LEARNER_SECTIONS = (*FEATURE_SECTIONS, "SEED", "DATA.TRAIN_DIFFICULT", "PROPOSALS.TRAIN_MAX_BOXES")


class _Learner(Stage):
    """What both learners depend on: the training split's regions and the network."""

    def roles(self, config: Config) -> tuple[str, ...]:
        """The training split."""
        return ("TRAIN",)

    def inputs(self, config: Config, role: str) -> Mapping[str, Ref]:
        """The network and the split's proposals."""
        return {"network": network_ref(config), "proposals": ("Propose", role)}

    def caches(self, config: Config, role: str) -> Mapping[str, Ref]:
        """The stored features, where the recipe keeps them."""
        return feature_cache(config, role)


def _training_index(context: Context) -> RegionIndex:
    most = context.config.PROPOSALS.TRAIN_MAX_BOXES
    return region_index(context, context.role, with_truths=True, max_boxes=most)


@STAGES.register()
class Classify(_Learner):
    """One classifier per class on a layer's features. Source: R-CNN, section 2.3 (object category classifiers)."""

    def sections(self, config: Config) -> tuple[str, ...]:
        """The classifier, what decides its features, and the seed."""
        return ("CLASSIFIER", *LEARNER_SECTIONS)

    def extra(self, config: Config, role: str) -> dict[str, Any]:
        """Nothing more; refuses a classifier without the fine-tuned head that it needs.

        Raises:
            ConfigError: the recipe fine-tunes no network.
        """
        name = config.CLASSIFIER.NAME
        if CLASSIFIERS.get(name).needs_head and "Finetune" not in config.STAGES:  # type: ignore[attr-defined]
            raise ConfigError(
                f"CLASSIFIER.NAME: {name} is the fine-tuned head; add Finetune to STAGES or use LinearSVM"
            )
        return {}

    def run(self, context: Context) -> None:
        """Writes classifier.safetensors and report.json."""
        index = _training_index(context)
        source = region_features(context, index).source(read_layer(context.config, "CLASSIFIER"))
        classifier = build(context.config, "CLASSIFIER", num_classes=index.num_classes, feature_dim=source.dim)
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

    def sections(self, config: Config) -> tuple[str, ...]:
        """The box head, what decides its features, and the seed."""
        return ("BOX_HEAD", *LEARNER_SECTIONS)

    def run(self, context: Context) -> None:
        """Writes box_head.safetensors and report.json."""
        index = _training_index(context)
        source = region_features(context, index).source(read_layer(context.config, "BOX_HEAD"))
        head = build(context.config, "BOX_HEAD", num_classes=index.num_classes, feature_dim=source.dim)
        bar = progress("regress", index.num_classes, "class")
        head.fit(source, rng_for(context.config.SEED, "regress"), progress=bar)
        bar.close()
        save_tensors(context.folder / BOX_HEAD, head.state())
        write_atomically(context.folder / REPORT, json.dumps(head.report(), indent=1).encode())
