"""What the steps of a finished run have learnt, on the regions that they learnt from."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from detkit.classifiers.linear_svm import LinearSVM
from detkit.detection.scorer import RegionScorer
from detkit.errors import ConfigError
from detkit.regions.features import RegionFeatures
from detkit.regions.index import RegionIndex
from detkit.regions.network import RegionNetwork
from detkit.regions.source import FeatureSource
from detkit.run.kinds import CLASSIFIER, CLASSIFIER_FILE, DETECTIONS, NETWORK
from detkit.run.plan import Step
from detkit.run.runner import Run
from detkit.stages import networks
from detkit.stages.detect import load_scorer
from detkit.stages.features import region_features
from detkit.stages.readers import build_reader
from detkit.stages.regions import region_index
from detkit.structures.state import load_learnt
from detkit.training.finetune import FinetuneSettings

FINETUNE = "FINETUNE"
AT_MARGIN = 1e-3
"""How far beyond its margin a region still counts as on it: solvers stop before they are exact."""


def training_regions(run: Run, step: Step) -> tuple[RegionIndex, FeatureSource]:
    """The regions of the training split that a classifier has learnt from, with the features that it reads.

    Args:
        run: a finished run.
        step: the step of the classifier.
    """
    context = run.context(step)
    index = region_index(context, step.role, with_truths=True, max_boxes=context.config.PROPOSALS.TRAIN_MAX_BOXES)
    _, layer = build_reader(context.config, "CLASSIFIER", index.num_classes)
    return index, region_features(context, index).source(layer)


def support_vectors(run: Run) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each class (K,) positives and (K,) negatives on or inside the margin, and (K,) all negatives.

    The counts are over all regions of the training split, also those that mining has not cached.

    Raises:
        ConfigError: if the run's classifier is no LinearSVM.
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
        labels, margins = svm.training.examples.labels(index, image).numpy(), svm.margins(features).numpy()
        counts[0] += ((labels == 1) & (margins <= 1 + AT_MARGIN)).sum(0)
        counts[1] += ((labels == -1) & (margins >= -1 - AT_MARGIN)).sum(0)
        counts[2] += (labels == -1).sum(0)
    return counts[0], counts[1], counts[2]


def finetune_regions(run: Run) -> RegionIndex:
    """The regions that fine-tuning draws from, with its labels.

    Raises:
        ConfigError: if the run does not fine-tune.
    """
    step = next((s for s in run.steps if s.stage.gives == NETWORK and FINETUNE in s.reads.roles), None)
    if step is None:
        raise ConfigError("STAGES: no stage fine-tunes the network; add Finetune")
    labels = step.config.settings(FINETUNE, FinetuneSettings).labels
    return region_index(run.context(step), FINETUNE, with_truths=True, **labels)


@dataclass(frozen=True, eq=False)
class ScoredRegions:
    """The proposals of the test split as a finished run scores and moves them.

    Args:
        index: the regions; there are no ground-truth rows.
        features: features of all layers that are read.
        scorer: classifier and box head.
    """

    index: RegionIndex
    features: RegionFeatures
    scorer: RegionScorer

    @classmethod
    def of(cls, run: Run) -> ScoredRegions:
        """The scored regions of a run that detects."""
        step = run.last(DETECTIONS, "TEST")
        assert step is not None
        context = run.context(step)
        index = region_index(context, step.role, with_truths=False)
        # The step reads no annotations, so its samples have none.
        index = replace(index, samples=list(run.datasets(step.role)))
        classifier, box_head = context.inputs["classifier"], context.inputs["box_head"]
        scorer = load_scorer(context.config, classifier, box_head, index.num_classes)
        return cls(index, region_features(context, index), scorer)

    def layer(self, name: str, rows: np.ndarray) -> Tensor:
        """(M, D) features of a layer of these rows."""
        return self.features.source(name).take(rows)


def region_network(run: Run) -> RegionNetwork:
    """The network of a finished run that detects, ready for regions of any image."""
    step = run.last(DETECTIONS, "TEST")
    assert step is not None
    return networks.region_network(run.context(step))
