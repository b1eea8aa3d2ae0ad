"""The stages that learn from features: classifiers and box heads."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from detkit.box_heads.base import BoxHead
from detkit.classifiers.base import Classifier
from detkit.config.node import Config
from detkit.data.base import Dataset
from detkit.engine.seeding import rng_for
from detkit.errors import ConfigError
from detkit.files import write_json
from detkit.progress import progress
from detkit.regions.source import FeatureSource, LinearHead
from detkit.registry import STAGES
from detkit.stages.base import Context, Ref, Stage
from detkit.stages.common import (
    FEATURE_SECTIONS,
    HEAD,
    build_reader,
    gathered_features,
    layers_read,
    network_layers,
    network_ref,
    refuse_without_truths,
    region_index,
)
from detkit.stages.regions import feature_cache
from detkit.stages.shards import save_tensors
from detkit.structures.state import read_tensors

CLASSIFIER = "classifier.safetensors"
BOX_HEAD = "box_head.safetensors"
REPORT = "report.json"


class _Learner(Stage):
    """What both learners share: the training split's regions, and one component that learns from their features.

    Attributes:
        slot: the config slot of what is learnt.
        file: where it is kept.
    """

    slot: ClassVar[str]
    file: ClassVar[str]
    shared = True

    def check(self, config: Config) -> None:
        """Builds the component."""
        build_reader(config, self.slot, num_classes=1)

    def check_data(self, config: Config, data: Mapping[str, Dataset]) -> None:
        """There is something to learn from."""
        refuse_without_truths(data)

    def sections(self, config: Config) -> tuple[str, ...]:
        """The component, what decides its features and examples, and the seed."""
        return (self.slot, *FEATURE_SECTIONS, "SEED", "DATA.TRAIN_DIFFICULT", "PROPOSALS.TRAIN_MAX_BOXES")

    def roles(self, config: Config) -> tuple[str, ...]:
        """The training split."""
        return ("TRAIN",)

    def inputs(self, config: Config, role: str) -> Mapping[str, Ref]:
        """The network and the split's proposals."""
        return {"network": network_ref(config), "proposals": ("Propose", role)}

    def caches(self, config: Config, role: str) -> Mapping[str, Ref]:
        """The stored features, where the recipe keeps them and this learner reads any."""
        return feature_cache(config, role) if self.slot in layers_read(config, role) else {}

    def run(self, context: Context) -> None:
        """Writes what was learnt, and report.json."""
        most = context.config.PROPOSALS.TRAIN_MAX_BOXES
        index = region_index(context, context.role, with_truths=True, max_boxes=most)
        component, layer = build_reader(context.config, self.slot, index.num_classes)
        features = gathered_features(context, index)
        if not context.world.is_first:
            features.serve()
            return
        self.fit(component, features.source(layer), context)
        features.dismiss()
        save_tensors(context.folder / self.file, component.state())
        write_json(context.folder / REPORT, component.report())

    @abstractmethod
    def fit(self, component: Any, source: FeatureSource, context: Context) -> None:
        """Lets the component learn."""


@STAGES.register()
class Classify(_Learner):
    """One classifier per class on a layer's features. Source: R-CNN, section 2.3 (object category classifiers)."""

    slot, file = "CLASSIFIER", CLASSIFIER

    def check(self, config: Config) -> None:
        """Builds the classifier; refuses one without the fine-tuned head, or off the layer, that it needs."""
        classifier, layer = build_reader(config, self.slot, num_classes=1)
        name, last = config.CLASSIFIER.NAME, list(network_layers(config))[-1]
        if classifier.needs_head and "Finetune" not in config.STAGES:
            raise ConfigError(
                f"CLASSIFIER.NAME: {name} is the fine-tuned head; add Finetune to STAGES or use LinearSVM"
            )
        if classifier.needs_head and layer != last:
            raise ConfigError(f"CLASSIFIER.LAYER: {name} reads the last layer, {last}, got {layer}")

    def fit(self, component: Classifier, source: FeatureSource, context: Context) -> None:
        """Learns from the features and, if there is one, takes the fine-tuned head."""
        head_file = context.inputs["network"] / HEAD
        head = LinearHead(**read_tensors(head_file)) if head_file.is_file() else None
        with progress("classify", source.index.num_images, "image") as bar:
            component.fit(source, rng_for(context.config.SEED, "classify"), head=head, progress=bar)


@STAGES.register()
class Regress(_Learner):
    """One box regressor per class on a layer's features. Source: R-CNN, appendix C."""

    slot, file = "BOX_HEAD", BOX_HEAD

    def fit(self, component: BoxHead, source: FeatureSource, context: Context) -> None:
        """Learns from the features."""
        with progress("regress", source.index.num_classes, "class") as bar:
            component.fit(source, rng_for(context.config.SEED, "regress"), progress=bar)
