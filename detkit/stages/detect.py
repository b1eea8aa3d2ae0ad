"""The stage that detects the objects of a whole split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from detkit.config.node import Config
from detkit.data.base import Dataset
from detkit.detection.postprocess import Postprocess, finish, set_thresholds
from detkit.detection.scorer import RegionScorer
from detkit.errors import ConfigError, DataError
from detkit.evaluation.voc_files import file_name
from detkit.regions.features import IMAGES_TOGETHER
from detkit.registry import CLASSIFIERS, STAGES
from detkit.run.cost import Cost
from detkit.run.kinds import (
    BOX_HEAD,
    BOX_HEAD_FILE,
    CLASSIFIER,
    CLASSIFIER_FILE,
    DETECTIONS,
    DETECTIONS_FILE,
    NETWORK,
    PROPOSALS,
    TRACE_FILE,
    UNREFINED_FILE,
)
from detkit.run.shards import ImageShards, merge_images, save_tensors, split_images
from detkit.run.stage import Context, Need, Reads, Stage
from detkit.stages.features import FEATURE_SECTIONS, is_stored, new_crops, region_features, stored_features
from detkit.stages.readers import build_reader
from detkit.stages.regions import region_index
from detkit.structures import Boxes, Detections, Sample
from detkit.structures.state import load_learnt

if TYPE_CHECKING:
    from detkit.report.measure import Probe
    from detkit.run.plan import Step

MAX_NAME_BYTES = 255  # of a file on every usual file system


@STAGES.register()
class Detect(Stage):
    """Detections of every test image, with the box head and also without it.

    Order: cap per image and class, cap per class over the set, box head, clip, NMS per class.
    Source: R-CNN, section 2.2; rcnn_test.m for the caps.

    Example:
        >>> Detect.gives, sorted(Detect.settings)
        ('detections', ['POSTPROCESS'])
    """

    gives = DETECTIONS
    settings = {"POSTPROCESS": Postprocess}
    shared = True

    def roles(self, config: Config) -> tuple[str, ...]:
        """The test split."""
        return ("TEST",)

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
        """The components with their layers, and the caps. It reads no annotations: they evaluate the detections."""
        return Reads(settings=("CLASSIFIER", "BOX_HEAD", "POSTPROCESS", *FEATURE_SECTIONS), images=(role,))

    def check(self, config: Config) -> None:
        """Refuses votes without weights."""
        refuse_votes_without_weights(config)

    def check_data(self, config: Config, data: Mapping[str, Dataset]) -> None:
        """Refuses class names that cannot be names of detection files."""
        for role, dataset in data.items():
            names = [file_name(config.DATA[role], name) for name in dataset.class_names]
            long = [name for name in names if len(name.encode()) > MAX_NAME_BYTES]
            if long:
                raise DataError(
                    f"DATA.{role}: no file can have the name of the detection file {long[0]}: at most {MAX_NAME_BYTES} "
                    f"bytes of UTF-8, got {len(long[0].encode())}; shorten the split's name or the class's"
                )

    def estimate(self, probe: Probe, step: Step) -> Cost:
        """The time of the features, unless they are stored, and of their scores."""
        dataset = step.data[step.role]
        seconds = probe.scoring(step.config, len(dataset.class_names)) * len(dataset)
        if not is_stored(step.config, step.role):
            seconds += probe.feature_seconds(step.config, step.role)
        again = step.config.POSTPROCESS.REFINE_ITERATIONS - 1
        crops = f", {again} x the new crops of the candidates (POSTPROCESS.REFINE_ITERATIONS)" if again else ""
        return Cost(seconds, unknown=f"suppression among the candidates{crops}")

    def run(self, context: Context) -> None:
        """Writes the detections after and, last, before the box head."""
        shards = ImageShards(context.folder, "candidates", len(context.dataset(context.role)))
        if not (context.folder / UNREFINED_FILE).is_file():
            settings = context.config.settings("POSTPROCESS", Postprocess)
            _add_candidates(context, shards, settings)
            context.world.wait()
            if context.world.is_first:
                self._finish(context, shards, settings)
        if context.world.is_first:
            shards.remove()

    def _finish(self, context: Context, shards: ImageShards, settings: Postprocess) -> None:
        dataset = context.dataset(context.role)
        found = list(shards)
        limits = set_thresholds(
            torch.cat([one["scores"] for one in found]),
            torch.cat([one["labels"] for one in found]),
            len(dataset.class_names),
            len(dataset),
            settings,
        )
        save_tensors(context.folder / TRACE_FILE, _trace(found, limits))
        for name, boxes, scores in (
            (DETECTIONS_FILE, "refined", "refined_scores"),
            (UNREFINED_FILE, "boxes", "scores"),
        ):
            images = [
                _finished(one, boxes, scores, limits, sample, settings)
                for one, sample in zip(found, dataset, strict=True)
            ]
            merge_images(context.folder / name, images)


def load_scorer(config: Config, classifier: Path, box_head: Path, num_classes: int) -> RegionScorer:
    """The trained classifier and box head.

    Args:
        config: holds CLASSIFIER, BOX_HEAD and BACKBONE.
        classifier: the artefact of the stage Classify.
        box_head: the artefact of the stage Regress.
        num_classes: K.
    """
    parts, read = [], []
    for slot, file in (("CLASSIFIER", classifier / CLASSIFIER_FILE), ("BOX_HEAD", box_head / BOX_HEAD_FILE)):
        part, layer = build_reader(config, slot, num_classes)
        load_learnt(part, file)
        parts.append(part)
        read.append(layer)
    return RegionScorer(parts[0], read[0], parts[1], read[1])


def _add_candidates(context: Context, shards: ImageShards, settings: Postprocess) -> None:
    """Keeps the candidates of this process's images that an interrupted run has not kept."""
    index = region_index(context, context.role, with_truths=False)
    features = region_features(context, index)
    inputs = context.inputs
    scorer = load_scorer(context.config, inputs["classifier"], inputs["box_head"], index.num_classes)
    crops = new_crops(context, features, scorer.layers, settings)
    own = context.world.own(range(index.num_images), IMAGES_TOGETHER)
    missing = shards.missing(own)
    requests = [(image, index.row_numbers(image)) for image in missing]
    with context.progress("detect", len(own), "image", done=len(own) - len(missing)) as bar:
        for image, layers in features.images(requests, scorer.layers):
            new = None if crops is None else crops(image)
            found = scorer.candidates(index.boxes[index.rows(image)], layers, settings, image=new)
            shards.save(
                image,
                {
                    "scores": found.scores,
                    "labels": found.labels,
                    "rows": found.rows,
                    "boxes": found.boxes.tensor,
                    "refined": found.refined.tensor,
                    "refined_scores": found.refined_scores.clone(),
                },
            )
            bar.update()


def _finished(
    one: Mapping[str, Tensor], boxes: str, scores: str, limits: Tensor, sample: Sample, settings: Postprocess
) -> dict[str, Tensor]:
    """One image's detections as tensors, from its candidates that the cap over the set leaves.

    The cap comes before the box head: it looks at the proposals' scores.
    """
    kept = one["scores"] >= limits[one["labels"]]
    found = finish(
        Boxes(one[boxes][kept]), one[scores][kept], one["labels"][kept], one["rows"][kept], sample.size, settings
    )
    return {"boxes": found.boxes.tensor, "scores": found.scores, "labels": found.labels, "rows": found.proposal_rows}


def _trace(found: Sequence[Mapping[str, Tensor]], limits: Tensor) -> dict[str, Tensor]:
    """The candidates of all images in the least room: 10 bytes each, and 20 more inside the cap over the set."""
    counts = torch.tensor([0, *(len(one["rows"]) for one in found)])
    names = ("rows", "labels", "scores", "refined", "refined_scores")
    joined = {name: torch.cat([one[name] for one in found]) for name in names}
    kept = joined["scores"] >= limits[joined["labels"]]
    return {
        "rows": joined["rows"].to(torch.int32),
        "labels": joined["labels"].to(torch.int16),
        "scores": joined["scores"],
        "refined": joined["refined"][kept],
        "refined_scores": joined["refined_scores"][kept],
        "limits": limits,
        "offsets": counts.cumsum(0),
    }


def load_detections(path: Path) -> list[Detections]:
    """The detections of every image that the stage wrote."""
    return [Detections(Boxes(one["boxes"]), one["scores"], one["labels"], one["rows"]) for one in split_images(path)]


def refuse_votes_without_weights(config: Config) -> None:
    """Refuses votes that are weighted by margins: a box whose margin is below 0 would have no vote.

    Raises:
        ConfigError: if VOTE_IOU is set without VOTE_SLOPE and the classifier's scores are margins.
    """
    post, name = config.POSTPROCESS, config.CLASSIFIER.NAME
    if post.VOTE_IOU is not None and post.VOTE_SLOPE is None and CLASSIFIERS.get(name).score_kind == "margin":
        raise ConfigError(
            f"POSTPROCESS.VOTE_IOU: {post.VOTE_IOU} weighs boxes by their scores, and scores of {name} are margins, "
            "which are mostly below 0 and then weigh nothing; set POSTPROCESS.VOTE_SLOPE, for example to 3"
        )
