"""The stage that learns classifiers."""

from __future__ import annotations

import numpy as np

from detkit.classifiers.base import Classifier
from detkit.config.node import Config
from detkit.errors import ConfigError, DetkitError
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
OBJECTS = 16
"""Ground truths for which a classifier is tried once it is learnt."""


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
        if component.reads_features:
            refuse_silent(component, source)


def refuse_silent(classifier: Classifier, source: FeatureSource) -> None:
    """Refuses a classifier that fires for none of the objects that it has learnt from.

    Args:
        classifier: after ``fit``.
        source: the features that it has learnt from; those of a few ground truths are read.

    Raises:
        DetkitError: every class scores -inf for each of these ground truths.
    """
    truths = np.flatnonzero(source.index.truth_label >= 0)[:OBJECTS]
    if len(truths) and bool(classifier.score(source.take(truths)).isneginf().all()):
        name = type(classifier).__name__
        raise DetkitError(
            f"CLASSIFIER.NAME: {name} has learnt no class: each scores -inf for all of {len(truths)} ground truths of "
            "DATA.TRAIN, so nothing would ever be detected. A class needs a ground truth and a region that counts as "
            f"its negative: check DATA.TRAIN, PROPOSALS and the keys of CLASSIFIER.{name}, which "
            f"`detkit list CLASSIFIERS {name}` explains"
        )
