"""The stage that learns classifiers."""

from __future__ import annotations

from detkit.classifiers.base import Classifier
from detkit.config.node import Config
from detkit.errors import ConfigError
from detkit.progress import progress
from detkit.regions.source import FeatureSource, LinearHead
from detkit.registry import STAGES
from detkit.run.stage import Context
from detkit.stages.common import (
    HEAD,
    build_reader,
    network_layers,
)
from detkit.stages.learner import Learner
from detkit.structures.state import read_tensors
from detkit.system.seeding import rng_for

CLASSIFIER = "classifier.safetensors"


@STAGES.register()
class Classify(Learner):
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
