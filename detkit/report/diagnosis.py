"""The diagnosis of a run, or of detection files."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from detkit.config.node import Config
from detkit.data.base import Dataset
from detkit.detection.postprocess import Postprocess
from detkit.diagnosis import Diagnosis, Outcome, Trace, diagnose, similar_groups
from detkit.errors import ConfigError, DataError, ModelError
from detkit.report.export import calibration_of
from detkit.run.kinds import DETECTIONS, DETECTIONS_FILE, PROPOSALS_FILE, TRACE_FILE
from detkit.run.runner import Run
from detkit.run.shards import split_images
from detkit.stages.detect import load_detections
from detkit.structures import Detections
from detkit.structures.state import read_tensors

Groups = Sequence[Sequence[str]] | None

log = logging.getLogger("detkit")


def diagnose_run(run: Run) -> Diagnosis:
    """The diagnosis of the test split of a run that has detected.

    Raises:
        ModelError: if the run has not detected anything yet.
        DataError: if the split has no annotations.
        ConfigError: if DIAGNOSIS.SIMILAR_CLASSES names an unknown class.
    """
    detected = run.find(DETECTIONS, "TEST")
    if detected is None:
        raise ModelError(f"{run.folder}: nothing was detected yet; detkit train with this config detects")
    dataset = run.datasets("TEST")
    found = load_detections(detected / DETECTIONS_FILE)
    outcome, groups = _outcome(run.config, dataset, found)
    calibration = calibration_of(run)
    probabilities = calibration.probability(
        torch.from_numpy(outcome.det_scores).float(), torch.from_numpy(outcome.det_labels)
    )
    return diagnose(
        outcome,
        own_thresholds=calibration.thresholds.double().numpy(),
        probabilities=None if probabilities is None else probabilities.double().numpy(),
        groups=groups,
        trace=load_trace(run, detected),
        strict=run.config.EVALUATION.VOC.STRICT_IOU,
    )


def diagnose_files(config: Config, dataset: Dataset, detections: Sequence[Detections]) -> Diagnosis:
    """The diagnosis of detections of any program.

    Args:
        config: holds DIAGNOSIS.
        dataset: images and ground truths.
        detections: detections of each image, in list order.

    Raises:
        DataError: if the split has no annotations.
        ConfigError: if DIAGNOSIS.SIMILAR_CLASSES names an unknown class.
    """
    outcome, groups = _outcome(config, dataset, detections)
    return diagnose(outcome, groups=groups, strict=config.EVALUATION.VOC.STRICT_IOU)


def load_trace(run: Run, detected: Path) -> Trace | None:
    """The trace of the steps of ``Detect``; None, with a line in the log, if an older detkit wrote none.

    Args:
        run: the run, which has the proposals.
        detected: folder of its finished detections.
    """
    file, step = detected / TRACE_FILE, run.last(DETECTIONS, "TEST")
    assert step is not None
    proposals = run.result(step.inputs["proposals"])
    if not file.is_file() or proposals is None:
        missing = "proposals of this run were removed" if file.is_file() else "detections are of an older detkit"
        log.warning(
            "lost objects: the %s, so which step lost an object is not known; "
            "`detkit train --from %s` makes what is missing",
            missing,
            "propose" if file.is_file() else step.id.lower(),
        )
        return None
    settings = step.config.settings("POSTPROCESS", Postprocess)
    kept = read_tensors(file)
    boxes = [one["boxes"].double().numpy() for one in split_images(proposals / PROPOSALS_FILE)]
    labels, limits = kept["labels"].long(), kept["limits"]
    survives = (kept["scores"] >= limits[labels]).numpy()
    refined = np.zeros((len(survives), 4))
    refined[survives] = kept["refined"].double().numpy()
    refined_scores = kept["scores"].double().numpy().copy()
    refined_scores[survives] = kept["refined_scores"].double().numpy()
    return Trace(
        proposal_boxes=np.concatenate([np.zeros((0, 4)), *boxes]),
        proposal_offsets=np.concatenate([[0], np.cumsum([len(b) for b in boxes])]).astype(np.int64),
        rows=kept["rows"].long().numpy(),
        labels=labels.numpy(),
        scores=kept["scores"].double().numpy(),
        offsets=kept["offsets"].numpy(),
        kept=survives,
        refined=refined,
        refined_scores=refined_scores,
        set_limits=limits.double().numpy(),
        top_per_image=settings.top_per_image,
        nms_iou=settings.nms_iou,
        one_class_per_region=settings.one_class_per_region,
    )


def _outcome(config: Config, dataset: Dataset, detections: Sequence[Detections]) -> tuple[Outcome, Groups]:
    """The outcome of a split, and the groups of similar classes that are set."""
    if all(sample.annotations is None for sample in dataset):
        raise DataError(f"DATA.TEST: {config.DATA.TEST} has no annotations, so nothing can be told of its detections")
    return Outcome.of(dataset.class_names, dataset, detections), groups_of(config, dataset.class_names)


def groups_of(config: Config, class_names: Sequence[str]) -> Groups:
    """The groups of similar classes of DIAGNOSIS.SIMILAR_CLASSES; None if it is empty.

    Raises:
        ConfigError: if it names an unknown class.
    """
    groups = config.DIAGNOSIS.SIMILAR_CLASSES or None
    try:
        similar_groups(class_names, groups)
    except ValueError as error:
        raise ConfigError(f"DIAGNOSIS.SIMILAR_CLASSES: {error}") from None
    return groups
