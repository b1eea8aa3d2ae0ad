"""The stage that learns a display threshold for each class and the probability of a detection."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from detkit.classifiers.folds import image_folds
from detkit.config.node import Config
from detkit.config.ranges import NonNegative
from detkit.data.base import Dataset
from detkit.detection.calibration import MIN_DETECTIONS, Calibration, ScoreKind, Source
from detkit.detection.judge import Judge
from detkit.detection.postprocess import Postprocess
from detkit.errors import ConfigError, DataError
from detkit.evaluation.curves import Matches
from detkit.progress import Progress, progress
from detkit.regions.index import RegionIndex
from detkit.registry import STAGES
from detkit.run.artifacts import read_result
from detkit.run.kinds import (
    BOX_HEAD,
    CALIBRATION,
    CALIBRATION_FILE,
    CLASSIFIER,
    NETWORK,
    PROPOSALS,
    REPORT_FILE,
)
from detkit.run.shards import save_tensors
from detkit.run.stage import Context, Need, Reads, Stage
from detkit.stages.detect import load_scorer
from detkit.stages.features import FEATURE_SECTIONS, new_crops, region_features, stored_features, with_layers
from detkit.stages.regions import load_proposals, refuse_without_truths, region_index
from detkit.structures.state import read_tensors
from detkit.system.files import write_json
from detkit.system.seeding import rng_for

log = logging.getLogger("detkit")


@dataclass(frozen=True, kw_only=True)
class CalibrateSettings:
    """How thresholds and probabilities are learnt. Config section CALIBRATE.

    Args:
        folds: number of folds of the training images; 0, or 2 or more. Classifiers that have not learnt from a fold
            score its images. 0 learns no threshold, so that margins are shown from 0.
    """

    folds: Annotated[int, NonNegative] = 5


@STAGES.register()
class Calibrate(Stage):
    """A threshold and a probability curve for each class, from images that the scoring classifier has not seen.

    The images are the validation images if the recipe has some (DATA.VAL), else the training images in folds. Network
    and box head have seen the training images of all folds. With PROPOSALS.TRAIN_MAX_BOXES, an image has fewer
    proposals here than in detection, and a warning says so.
    Source: Platt, Probabilistic outputs for support vector machines, 1999, for the folds.

    Example:
        >>> Calibrate.gives, sorted(Calibrate.settings)
        ('calibration', ['CALIBRATE'])
    """

    gives = CALIBRATION
    settings = {"CALIBRATE": CalibrateSettings}

    def check(self, config: Config) -> None:
        """Refuses a single fold."""
        if config.CALIBRATE.FOLDS == 1:
            raise ConfigError("CALIBRATE.FOLDS 1 leaves no images to learn from; give 0, or 2 or more")

    def check_data(self, config: Config, data: Mapping[str, Dataset]) -> None:
        """Refuses data sets without ground truths, and images without annotations."""
        refuse_without_truths(data)
        for role, dataset in data.items():
            without = next((sample.image_id for sample in dataset if sample.annotations is None), None)
            if without is not None:
                raise DataError(
                    f"DATA.{role}: image {without} has no annotations, so its detections are neither right nor wrong; "
                    "annotate it, or leave Calibrate out of STAGES"
                )

    def roles(self, config: Config) -> tuple[str, ...]:
        """The split whose detections are used: validation images if the recipe has some, else the training images."""
        return ("VAL",) if config.DATA.VAL else ("TRAIN",)

    def needs(self, config: Config, role: str) -> Mapping[str, Need]:
        """The network, the split's proposals, the classifiers, the box head and stored features."""
        return {
            "network": Need(NETWORK),
            "proposals": Need(PROPOSALS, role),
            "classifier": Need(CLASSIFIER, "TRAIN"),
            "box_head": Need(BOX_HEAD, "TRAIN"),
            **stored_features(config, role),
        }

    def reads(self, config: Config, role: str) -> Reads:
        """The components with the layers that they read, the caps and the folds, and the ground truths."""
        keys = ("DATA.TRAIN_DIFFICULT", "PROPOSALS.TRAIN_MAX_BOXES", "SEED", "CALIBRATE")
        return Reads(
            settings=("CLASSIFIER", "BOX_HEAD", "POSTPROCESS", *FEATURE_SECTIONS, *keys),
            not_hashed=("POSTPROCESS.TOP_PER_CLASS",),  # a cap over a split that is evaluated
            annotated=(role,),
        )

    def run(self, context: Context) -> None:
        """Writes calibration.safetensors and report.json, whose ``source`` names the images that were used."""
        config, inputs, role = context.config, context.inputs, context.role
        most = config.PROPOSALS.TRAIN_MAX_BOXES if role == "TRAIN" else 0
        index = region_index(context, role, with_truths=role == "TRAIN", max_boxes=most)
        names = context.dataset(role).class_names
        scorer = load_scorer(config, inputs["classifier"], inputs["box_head"], len(names))
        features = region_features(context, index)
        boxes = with_layers(context, features, *scorer.layers)
        settings = config.settings("POSTPROCESS", Postprocess)
        crops = new_crops(context, boxes, scorer.layers, settings)
        judge = Judge(scorer, features, boxes, names, settings, crops)
        passes = 1 + (scorer.classifier.fold_passes(config.CALIBRATE.FOLDS) if role == "TRAIN" else 0)
        with progress("calibrate", index.num_images * passes, "image") as bar:
            if role == "TRAIN":
                learnt = calibrate_by_folds(judge, config.CALIBRATE.FOLDS, rng_for(config.SEED, "calibrate"), bar)
            else:
                learnt = calibrate_by_validation(judge, bar)
        if learnt.reason:
            log.warning("calibrate: no threshold or probability was learnt: %s", learnt.reason)
        elif most:
            _warn_of_fewer_proposals(context, index, most)
        save_tensors(context.folder / CALIBRATION_FILE, learnt.calibration.state())
        write_json(context.folder / REPORT_FILE, learnt.report())


def _warn_of_fewer_proposals(context: Context, index: RegionIndex, most: int) -> None:
    """Tells if thresholds were learnt from fewer proposals than detection scores."""
    used = int((index.truth_label < 0).sum())
    available = sum(len(proposals) for proposals in load_proposals(context, context.role))
    if used < available:
        log.warning(
            "calibrate: thresholds are learnt from %d of %d proposals (PROPOSALS.TRAIN_MAX_BOXES: %d). They may be too "
            "low, because detection scores all proposals; set PROPOSALS.TRAIN_MAX_BOXES to 0, limit proposals by a key "
            "of their generator, or name a split in DATA.VAL",
            used,
            available,
            most,
        )


def load_calibration(folder: Path, num_classes: int, score_kind: ScoreKind) -> Calibration:
    """The calibration that the stage wrote."""
    source = read_result(folder / REPORT_FILE)["source"]
    return Calibration.of(read_tensors(folder / CALIBRATION_FILE), num_classes, score_kind, source)


@dataclass(frozen=True, eq=False)
class Learnt:
    """The result of a calibration.

    Args:
        calibration: thresholds and curves.
        class_names: the K classes.
        matches: the detections that each class was learnt from; empty if nothing was learnt.
        reason: why nothing was learnt; empty if something was.
    """

    calibration: Calibration
    class_names: Sequence[str]
    matches: Sequence[Matches] = ()
    reason: str = ""

    def report(self) -> dict[str, Any]:
        """``source``, ``reason``, and for each class its threshold, number of objects, and F1 at the threshold."""
        thresholds = self.calibration.thresholds.tolist()
        classes = {
            name: {"threshold": threshold, "objects": own.num_truths, "f1": own.f1(threshold)}
            for name, threshold, own in zip(self.class_names, thresholds, self.matches)
        }
        return {"source": self.calibration.source, "reason": self.reason, "classes": classes}


def calibrate_by_folds(judge: Judge, folds: int, rng: np.random.Generator, progress: Progress | None = None) -> Learnt:
    """Learns from the training images in folds; a classifier that has not learnt from a fold scores its images.

    Args:
        judge: the images, and the fitted classifier.
        folds: number of folds; 0 learns nothing.
        rng: draws the folds.
        progress: updated for each image that is read, in each pass of the folds and once more for its detections.
    """
    classifier, index = judge.scorer.classifier, judge.features.index
    with_objects = int(np.unique(index.image[index.truth_label >= 0]).size)
    reason = ""
    if not classifier.reads_features:
        reason = f"{type(classifier).__name__} has learnt from every training image; name a split in DATA.VAL"
    elif folds == 0:
        reason = "CALIBRATE.FOLDS is 0; give 2 or more"
    elif with_objects < folds:
        reason = f"{with_objects} training images with objects are too few for {folds} folds"
    if reason:
        return _nothing(judge, reason)
    fold = image_folds(index.num_images, folds, rng)
    source = judge.features.source(judge.scorer.classifier_layer)
    classifiers = classifier.fit_folds(source, fold, rng, progress=progress)
    return _learnt(judge, judge.matches(classifiers, fold, progress), "folds")


def calibrate_by_validation(judge: Judge, progress: Progress | None = None) -> Learnt:
    """Learns from images that neither the classifier nor the network has learnt from."""
    fold = np.zeros(judge.features.index.num_images, np.int64)
    return _learnt(judge, judge.matches([judge.scorer.classifier], fold, progress), "validation")


def _learnt(judge: Judge, matches: Sequence[Matches], source: Source) -> Learnt:
    found = Calibration.fit(matches, judge.scorer.classifier.score_kind, source)
    if found.source == "none":
        right, wrong = (sum(int((own.hits == is_right).sum()) for own in matches) for is_right in (True, False))
        few = min(right, wrong) < MIN_DETECTIONS
        why = f"expected {MIN_DETECTIONS} of each" if few else "better scores are not more often right"
        return _nothing(judge, f"{right} detections are right, {wrong} wrong: {why}")
    return Learnt(found, judge.class_names, matches)


def _nothing(judge: Judge, reason: str) -> Learnt:
    kind = judge.scorer.classifier.score_kind
    return Learnt(Calibration.none(len(judge.class_names), kind), judge.class_names, reason=reason)
