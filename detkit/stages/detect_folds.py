"""The stage that detects objects in training images with components that have not learnt from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch

from detkit.classifiers.folds import image_folds
from detkit.config.node import Config
from detkit.config.ranges import Positive
from detkit.data.base import Dataset
from detkit.detection.postprocess import Postprocess, finish
from detkit.detection.scorer import Candidates, OneImage, RegionScorer
from detkit.errors import ConfigError
from detkit.progress import Progress
from detkit.regions.features import RegionFeatures
from detkit.regions.source import LinearHead, SomeImages
from detkit.registry import STAGES
from detkit.run.kinds import DETECTIONS, DETECTIONS_FILE, NETWORK, PROPOSALS, UNREFINED_FILE
from detkit.run.shards import merge_images
from detkit.run.stage import Context, Need, Reads, Stage
from detkit.stages.detect import refuse_votes_without_weights
from detkit.stages.features import FEATURE_SECTIONS, new_crops, region_features, stored_features, with_layers
from detkit.stages.networks import load_heads
from detkit.stages.readers import build_reader, layers_read
from detkit.stages.regions import refuse_without_truths, region_index
from detkit.structures import Detections
from detkit.system.seeding import rng_for


@dataclass(frozen=True, kw_only=True)
class FoldsSettings:
    """How training images are split. Config section HELD_OUT.

    Args:
        folds: number of folds of the training images, 2 or more. Components that learnt from the other folds detect
            the objects of a fold.
    """

    folds: Annotated[int, Positive] = 5


@STAGES.register()
class DetectFolds(Stage):
    """Detections of every training image, by a classifier and a box head that have not learnt from its fold.

    Use it to choose settings if there are too few images for a validation split: each image is evaluated, by components
    that have not seen it. The network is the same for all folds, so a tuned network has seen all images. The proposals
    are those of training, at most ``PROPOSALS.TRAIN_MAX_BOXES`` of each image, and there is no cap over the split.

    Example:
        >>> DetectFolds.gives, sorted(DetectFolds.settings)
        ('detections', ['HELD_OUT'])
    """

    gives = DETECTIONS
    one_pass = "CLASSIFIER"
    settings = {"HELD_OUT": FoldsSettings}

    def check(self, config: Config) -> None:
        """Refuses a single fold, and votes without weights."""
        refuse_votes_without_weights(config)
        if config.HELD_OUT.FOLDS == 1:
            raise ConfigError("HELD_OUT.FOLDS: 1 leaves no images to learn from; give 2 or more")

    def check_data(self, config: Config, data: Mapping[str, Dataset]) -> None:
        """Refuses data sets without ground truths."""
        refuse_without_truths(data)

    def roles(self, config: Config) -> tuple[str, ...]:
        """The training split."""
        return ("TRAIN",)

    def needs(self, config: Config, role: str) -> Mapping[str, Need]:
        """The network with the heads that components use, the split's proposals and stored features."""
        parts = (build_reader(config, slot, num_classes=1) for slot in ("CLASSIFIER", "BOX_HEAD"))
        heads = {part.needs_head: layer for part, layer in parts if part.needs_head}
        network = Need(NETWORK, heads=heads, because="the parts of each fold take it over")
        return {"network": network, "proposals": Need(PROPOSALS, role), **stored_features(config, role)}

    def reads(self, config: Config, role: str) -> Reads:
        """The components with the layers that they read, the caps and the folds, and the ground truths."""
        keys = ("DATA.TRAIN_DIFFICULT", "PROPOSALS.TRAIN_MAX_BOXES", "SEED", "HELD_OUT")
        return Reads(
            settings=("CLASSIFIER", "BOX_HEAD", "POSTPROCESS", *FEATURE_SECTIONS, *keys),
            not_hashed=("POSTPROCESS.TOP_PER_CLASS",),  # a cap over a split that is evaluated
            annotated=(role,),
        )

    def run(self, context: Context) -> None:
        """Writes the detections after and, last, before the box head."""
        self.run_together([context])

    def run_together(self, contexts: Sequence[Context]) -> None:
        """Does ``run`` for contexts that differ in their classifiers; these learn together, and share the box heads."""
        first = contexts[0]
        config, most = first.config, first.config.PROPOSALS.TRAIN_MAX_BOXES
        index = region_index(first, first.role, with_truths=True, max_boxes=most)
        layers = list(dict.fromkeys(layers_read(config, "TEST").values()))
        features = with_layers(first, region_features(first, index), *layers)
        settings = config.settings("POSTPROCESS", Postprocess)
        crops = new_crops(first, features, layers, settings)
        fold = image_folds(index.num_images, config.HELD_OUT.FOLDS, rng_for(config.SEED, "held out"))
        found: list[dict[int, tuple[Detections, Detections]]] = [{} for _ in contexts]
        with first.progress("detect in folds", index.num_images * len(contexts), "image") as bar:
            for number in np.unique(fold):
                others, own = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
                scorers = _fitted([context.config for context in contexts], features, others, load_heads(first))
                for scorer, of_images in zip(scorers, found, strict=True):
                    for image, one in _candidates(scorer, features, own, settings, crops, bar):
                        of_images[image] = _finished(one, index.samples[image].size, settings)
        for context, of_images in zip(contexts, found, strict=True):
            for name, at in ((DETECTIONS_FILE, 0), (UNREFINED_FILE, 1)):
                merge_images(context.folder / name, [_tensors(of_images[i][at]) for i in range(index.num_images)])


def _fitted(
    configs: Sequence[Config], features: RegionFeatures, images: np.ndarray, heads: Mapping[str, LinearHead]
) -> list[RegionScorer]:
    """For each config the classifier, and for all the box head, that learnt from these images alone."""
    seed, count = configs[0].SEED, features.index.num_classes
    built = [build_reader(config, "CLASSIFIER", count) for config in configs]
    classifiers, layer = [classifier for classifier, _ in built], built[0][1]
    rngs = [rng_for(seed, "classify") for _ in configs]
    source = SomeImages(features.source(layer), images)
    type(classifiers[0]).fit_together(classifiers, source, rngs, head=heads.get("class"))
    box_head, box_layer = build_reader(configs[0], "BOX_HEAD", count)
    box_head.fit(SomeImages(features.source(box_layer), images), rng_for(seed, "regress"), head=heads.get("box"))
    return [RegionScorer(classifier, layer, box_head, box_layer) for classifier in classifiers]


def _candidates(
    scorer: RegionScorer,
    features: RegionFeatures,
    images: np.ndarray,
    settings: Postprocess,
    crops: Callable[[int], OneImage] | None,
    bar: Progress,
) -> Iterator[tuple[int, Candidates]]:
    """(image, its candidates): proposals alone, as ground truths are not known at test."""
    index = features.index
    rows = [index.row_numbers(image) for image in images.tolist()]
    requests = [(image, own[index.truth_label[own] < 0]) for image, own in zip(images.tolist(), rows, strict=True)]
    for (_, own), (image, layers) in zip(requests, features.images(requests, scorer.layers), strict=True):
        new = crops(image) if crops else None
        yield image, scorer.candidates(index.boxes[own], layers, settings, image=new)
        bar.update()


def _finished(one: Candidates, size: tuple[int, int], settings: Postprocess) -> tuple[Detections, Detections]:
    """The detections after and before the box head."""
    refined = finish(one.refined, one.refined_scores, one.labels, one.rows, size, settings)
    return refined, finish(one.boxes, one.scores, one.labels, one.rows, size, settings)


def _tensors(found: Detections) -> dict[str, torch.Tensor]:
    return {"boxes": found.boxes.tensor, "scores": found.scores, "labels": found.labels, "rows": found.proposal_rows}
