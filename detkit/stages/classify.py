"""The stage that learns classifiers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from detkit.classifiers.base import Classifier
from detkit.errors import DetkitError
from detkit.progress import progress
from detkit.regions.source import NORM_ROWS, FeatureSource, LinearHead
from detkit.registry import CLASSIFIERS, STAGES
from detkit.run.cost import Cost
from detkit.run.kinds import CLASSIFIER, CLASSIFIER_FILE
from detkit.run.stage import Context
from detkit.stages.features import is_stored
from detkit.stages.learner import Learner
from detkit.stages.readers import build_reader
from detkit.system.seeding import rng_for

if TYPE_CHECKING:
    from detkit.report.measure import Probe
    from detkit.run.plan import Step

OBJECTS = 16
"""Ground truths for which a classifier is tried once it is learnt."""


@STAGES.register()
class Classify(Learner):
    """One classifier per class on a layer's features. Source: R-CNN, section 2.3 (object category classifiers).

    Example:
        >>> Classify.gives, sorted(Classify.settings)
        ('classifier', [])
    """

    gives = CLASSIFIER
    slot, file, one_pass = "CLASSIFIER", CLASSIFIER_FILE, "CLASSIFIER"

    def fit(
        self,
        components: Sequence[Classifier],
        source: FeatureSource,
        heads: Mapping[str, LinearHead],
        context: Context,
    ) -> None:
        """Fits the classifiers on the features, and gives them the class head if the network has one."""
        rngs = [rng_for(context.config.SEED, "classify") for _ in components]
        passes = max(component.passes for component in components)
        with progress("classify", source.index.num_images * passes, "image") as bar:
            type(components[0]).fit_together(components, source, rngs, head=heads.get("class"), progress=bar)
        for component in components:
            if component.reads_features:
                refuse_silent(component, source)

    def estimate(self, probe: Probe, step: Step) -> Cost:
        """The time of the passes over all features; that of the training itself depends on the data."""
        config, dataset = step.config, step.data[step.role]
        if not CLASSIFIERS.get(config.CLASSIFIER.NAME).reads_features:
            return Cost()
        passes = build_reader(config, "CLASSIFIER", len(dataset.class_names))[0].passes
        seconds = passes * probe.scoring(config, len(dataset.class_names)) * len(dataset)
        if not is_stored(config, step.role):
            # The sample whose norm is taken comes before the passes over everything.
            passes += probe.share_of_sample(step.role, NORM_ROWS)
            seconds += probe.feature_seconds(config, step.role) * passes
        unknown = "trainings on the hard negatives, and the memory of these: both depend on the data"
        return Cost(seconds, unknown=unknown)


def refuse_silent(classifier: Classifier, source: FeatureSource) -> None:
    """Refuses a classifier that finds none of the objects that it has learnt from.

    Args:
        classifier: a fitted classifier.
        source: the features that it has learnt from; it reads those of a few ground truths.

    Raises:
        DetkitError: if every class scores -inf for each of these ground truths.
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
