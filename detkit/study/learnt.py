"""Looks at what the steps of a finished run have learnt, on the regions that they have seen."""

from __future__ import annotations

import numpy as np

from detkit.classifiers.linear_svm import LinearSVM
from detkit.errors import ConfigError
from detkit.regions.index import RegionIndex
from detkit.regions.source import FeatureSource
from detkit.run.kinds import CLASSIFIER, CLASSIFIER_FILE
from detkit.run.plan import Step
from detkit.run.runner import Run
from detkit.stages.common import build_reader, region_features, region_index
from detkit.structures.state import load_learnt

AT_MARGIN = 1e-3
"""How far beyond its margin a region still counts as on it: solvers stop before they are exact."""


def training_regions(run: Run, step: Step) -> tuple[RegionIndex, FeatureSource]:
    """The regions of the training split that a step has learnt from, with the features of the layer that it reads.

    Args:
        run: finished.
        step: of a classifier or a box head.
    """
    context = run.context(step)
    index = region_index(context, step.role, with_truths=True, max_boxes=context.config.PROPOSALS.TRAIN_MAX_BOXES)
    slot = "CLASSIFIER" if step.stage.gives == CLASSIFIER else "BOX_HEAD"
    _, layer = build_reader(context.config, slot, index.num_classes)
    return index, region_features(context, index).source(layer)


def support_vectors(run: Run) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each class (K,) positives and (K,) negatives on or inside the margin, and (K,) all its negatives.

    Counted among all regions of the training split: one that mining has not cached is looked at, too.

    Raises:
        ConfigError: the run's classifier is no LinearSVM.
    """
    step = run.last(CLASSIFIER, "TRAIN")
    assert step is not None
    index, source = training_regions(run, step)
    svm, _ = build_reader(step.config, "CLASSIFIER", index.num_classes)
    if not isinstance(svm, LinearSVM):
        raise ConfigError(f"CLASSIFIER.NAME: support vectors are those of LinearSVM, got {type(svm).__name__}")
    folder = run.result(step)
    assert folder is not None, "the run is finished"
    load_learnt(svm, folder / CLASSIFIER_FILE)
    counts = np.zeros((3, index.num_classes), np.int64)
    for image, features in source.blocks():
        labels, margins = svm.examples.labels(index, image).numpy(), svm.score(features).numpy()
        counts[0] += ((labels == 1) & (margins <= 1 + AT_MARGIN)).sum(0)
        counts[1] += ((labels == -1) & (margins >= -1 - AT_MARGIN)).sum(0)
        counts[2] += (labels == -1).sum(0)
    return counts[0], counts[1], counts[2]
