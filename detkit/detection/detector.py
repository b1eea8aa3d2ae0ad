"""The composed detector: an image in, detections out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detkit.backbones.factored import take_factors
from detkit.backbones.weight_sources import read_outline
from detkit.backbones.weights import load_weights
from detkit.box_heads.base import BoxHead, checked_moves
from detkit.classifiers.base import Classifier, checked_scores
from detkit.config.build import construct
from detkit.config.layout import RuntimeKeys
from detkit.data.images import read_image
from detkit.detection.calibration import Calibration, ScoreKind
from detkit.detection.model_file import CALIBRATION_FILE, read_model_file
from detkit.detection.postprocess import Postprocess, finish, select
from detkit.errors import ModelError
from detkit.proposals.base import ProposalGenerator, checked_proposals
from detkit.regions.network import RegionNetwork
from detkit.registry import BACKBONES, BOX_HEADS, CLASSIFIERS, PROPOSAL_GENERATORS, REGION_EXTRACTORS
from detkit.structures import Boxes, Detections, Proposals
from detkit.structures.state import load_learnt, read_tensors
from detkit.system.clock import Clock
from detkit.system.compute import Compute


@dataclass(frozen=True, eq=False)
class Candidates:
    """The scored regions of one image that survive the cap per image.

    Args:
        rows: (M,) int64 proposal rows; a row stands once for each class it is a candidate of.
        labels: (M,) int64.
        scores: (M,) float32.
        boxes: the M proposals.
        refined: the same, not clipped, after the box head has moved those that the settings let it move.
        refined_scores: (M,) float32 scores of what was moved last: ``scores``, unless the settings rescore.
        every_score: (N, K) float32 of all N proposals, of which these are the candidates.
    """

    rows: Tensor
    labels: Tensor
    scores: Tensor
    boxes: Boxes
    refined: Boxes
    refined_scores: Tensor
    every_score: Tensor

    def __getitem__(self, kept: Tensor) -> Candidates:
        """Those where (M,) bool ``kept`` is true."""
        return Candidates(
            rows=self.rows[kept],
            labels=self.labels[kept],
            scores=self.scores[kept],
            boxes=self.boxes[kept],
            refined=self.refined[kept],
            refined_scores=self.refined_scores[kept],
            every_score=self.every_score,
        )


@dataclass(frozen=True, eq=False)
class OneImage:
    """An image of whose regions features can be computed.

    Args:
        size: (height, width).
        features: boxes inside it -> {layer: (N, D) float32} for each of a scorer's ``layers``.
    """

    size: tuple[int, int]
    features: Callable[[Boxes], Mapping[str, Tensor]]


@dataclass(frozen=True, eq=False)
class Steps:
    """What a detector makes of one image, step by step.

    Args:
        image: (H, W, 3) uint8 RGB.
        proposals: its N regions.
        features: {layer: (N, D) float32} of those that were computed.
        min_score: the least score of a candidate, of all classes or (K,) of each.
        settings: caps and suppression that were used.
        candidates: what survives threshold and cap.
        detections: what survives suppression, best first.
    """

    image: np.ndarray
    proposals: Proposals
    features: Mapping[str, Tensor]
    min_score: float | Tensor
    settings: Postprocess
    candidates: Candidates
    detections: Detections


@dataclass(frozen=True, eq=False)
class RegionScorer:
    """Classifier and box head together: what turns features into candidates in evaluation and detection alike.

    Args:
        classifier: scores regions.
        classifier_layer: the layer that it reads.
        box_head: moves regions.
        box_layer: the layer that it reads.
    """

    classifier: Classifier
    classifier_layer: str
    box_head: BoxHead
    box_layer: str

    @property
    def layers(self) -> list[str]:
        """The layers that must be computed."""
        layers = {self.classifier_layer: None}
        if self.box_head.reads_features:
            layers[self.box_layer] = None
        return list(layers)

    def candidates(
        self,
        boxes: Boxes,
        features: Mapping[str, Tensor],
        settings: Postprocess,
        min_score: float | Tensor = -np.inf,
        image: OneImage | None = None,
    ) -> Candidates:
        """The candidates of one image.

        Args:
            boxes: its N proposals.
            features: {layer: (N, D) float32} for each of ``layers``.
            settings: caps.
            min_score: regions that score less are none; for all classes or (K,) for each. Where settings rescore, it
                is the last score that counts.
            image: is asked for new crops; needed where the box head moves candidates more than once.
        """
        given = self.classifier.score(features[self.classifier_layer])
        every_score = checked_scores(self.classifier, given, len(boxes))
        first = -np.inf if settings.changes_scores else min_score
        rows, labels, scores = select(every_score, settings, min_score=first)
        own = features[self.box_layer][rows] if self.box_head.reads_features else torch.zeros(len(rows), 0)
        refined, last = self.iterated(boxes[rows], own, labels, scores, settings, image)
        found = Candidates(rows, labels, scores, boxes[rows], refined, last, every_score)
        if not settings.changes_scores:
            return found
        least = min_score[labels] if isinstance(min_score, Tensor) else min_score
        return found[last >= least]

    def iterated(
        self,
        boxes: Boxes,
        features: Tensor,
        labels: Tensor,
        scores: Tensor,
        settings: Postprocess,
        image: OneImage | None = None,
    ) -> tuple[Boxes, Tensor]:
        """The M boxes, not clipped, that the last iteration gives, and their (M,) scores.

        A box that an iteration has not changed, or of which less than a pixel lies in the image, is left as it is.
        Source: R-CNN, appendix C, whose authors iterated and saw no gain.

        Args:
            boxes: M candidates.
            features: (M, D) of the box head's layer; (M, 0) for one that reads none.
            labels: (M,) their classes, which they keep.
            scores: (M,).
            settings: how often boxes are moved, from which score on, and whether new crops are scored.
            image: is asked for new crops.
        """
        moved = self.refined(boxes, features, labels, scores, settings)
        for _ in range(settings.refine_iterations - 1):
            assert image is not None, "candidates are moved more than once: new crops are needed"
            start = moved.clip(image.size)
            has_pixels = (start.tensor[:, 2:] - start.tensor[:, :2] >= 1).all(1)
            at = ((start.tensor != boxes.tensor).any(1) & has_pixels).nonzero()[:, 0]
            if len(at) == 0:
                break
            found = image.features(start[at])
            if settings.rescore:
                given = checked_scores(self.classifier, self.classifier.score(found[self.classifier_layer]), len(at))
                scores = scores.index_copy(0, at, given[torch.arange(len(at)), labels[at]])
            own = found[self.box_layer] if self.box_head.reads_features else torch.zeros(len(at), 0)
            again = self.refined(start[at], own, labels[at], scores[at], settings)
            boxes, moved = start, Boxes(moved.tensor.index_copy(0, at, again.tensor))
        return moved, scores

    def refined(self, boxes: Boxes, features: Tensor, labels: Tensor, scores: Tensor, settings: Postprocess) -> Boxes:
        """(M,) boxes, not clipped, after the box head has moved those that the settings let it move.

        Args:
            boxes: M candidates.
            features: (M, D) of the box head's layer; (M, 0) for one that reads none.
            labels: (M,) their classes.
            scores: (M,).
            settings: from which score on candidates are moved.
        """
        refined = checked_moves(self.box_head, self.box_head.refine(features, boxes, labels), len(boxes))
        if settings.refine_above is None:
            return refined
        moved = (scores > settings.refine_above)[:, None]
        return Boxes(torch.where(moved, refined.tensor, boxes.tensor))


class Detector:
    """A trained detector, loaded from a model folder with the core alone.

    Args:
        class_names: the K classes.
        generator: finds proposals.
        network: computes features.
        scorer: classifier and box head.
        settings: caps and non-maximum suppression, as they were evaluated.
        calibration: from which score each class is shown, and its probabilities; None where nothing was learnt.
    """

    def __init__(
        self,
        *,
        class_names: tuple[str, ...],
        generator: ProposalGenerator,
        network: RegionNetwork,
        scorer: RegionScorer,
        settings: Postprocess,
        calibration: Calibration | None = None,
    ) -> None:
        self.class_names = class_names
        self.generator, self.network, self.scorer, self.settings = generator, network, scorer, settings
        self.calibration = calibration or Calibration.none(len(class_names), self.score_kind)

    @property
    def score_kind(self) -> ScoreKind:
        """The classifier's: "margin" or "probability"."""
        return self.scorer.classifier.score_kind

    def detect(
        self,
        image: np.ndarray | str | Path,
        min_score: float | None = None,
        *,
        one_class_per_region: bool = False,
        image_id: str = "",
        proposals: Proposals | None = None,
        clock: Clock | None = None,
    ) -> Detections:
        """The objects of one image, best first.

        Args:
            image: (H, W, 3) uint8 RGB, or the path of a file.
            min_score: the least score of every class; by default each has the threshold of ``calibration``.
            one_class_per_region: whether a region may be found for one class only, the best, whatever the model's
                settings say.
            image_id: under which stored proposals lie; by default the file's name without its ending.
            proposals: of this image, where its generator ran already.
            clock: is told of the stages decode, proposals, warp, network and classify; the last holds new crops, where
                the box head moves candidates more than once.

        Raises:
            DataError: the file is no readable image, or nothing is stored for its id where proposals are.
            ValueError: the array is no (H, W, 3) uint8 image.
        """
        return self.steps(
            image,
            min_score,
            one_class_per_region=one_class_per_region,
            image_id=image_id,
            proposals=proposals,
            clock=clock,
        ).detections

    def steps(
        self,
        image: np.ndarray | str | Path,
        min_score: float | None = None,
        *,
        one_class_per_region: bool = False,
        image_id: str = "",
        proposals: Proposals | None = None,
        layers: Sequence[str] = (),
        clock: Clock | None = None,
    ) -> Steps:
        """What ``detect`` does, each step to be looked at.

        Args:
            image: this and what is not said here as for ``detect``.
            min_score: the same.
            one_class_per_region: the same.
            image_id: the same.
            proposals: the same.
            layers: features that are wanted beside those that classifier and box head read.
            clock: the same.
        """
        clock = clock or Clock()
        with clock("decode"):
            pixels = image if isinstance(image, np.ndarray) else read_image(Path(image))
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
            raise ValueError(
                f"detect: expected an (H, W, 3) uint8 RGB image with pixels, got {pixels.dtype} {pixels.shape}"
            )
        with clock("proposals"):
            known_as = image_id or ("" if isinstance(image, np.ndarray) else Path(image).stem)
            if proposals is None:
                proposals = checked_proposals(
                    self.generator, self.generator.propose(pixels, known_as), pixels, known_as
                )
        wanted = list(dict.fromkeys([*self.scorer.layers, *layers]))
        features = self.network.of_image(pixels, proposals.boxes, wanted, clock)
        least = self.calibration.thresholds if min_score is None else min_score
        settings = replace(self.settings, one_class_per_region=True) if one_class_per_region else self.settings
        with clock("classify"):
            new = OneImage(proposals.image_size, lambda boxes: self.network.of_image(pixels, boxes, self.scorer.layers))
            found = self.scorer.candidates(proposals.boxes, features, settings, least, new)
            size = proposals.image_size
            kept = finish(found.refined, found.refined_scores, found.labels, found.rows, size, settings)
        return Steps(pixels, proposals, features, least, settings, found, kept)

    def probabilities(self, found: Detections) -> Tensor | None:
        """(N,) float32: how probable it is that each detection is right; None where the model does not tell."""
        return self.calibration.probability(found.scores, found.labels)


def load(model: str | Path, *, device: str = "auto", compile: bool = False) -> Detector:
    """The detector of a model folder.

    Args:
        model: a folder that a training run wrote (``RUN/model``).
        device: auto, cpu or cuda.
        compile: whether the network goes through torch.compile: the first image takes longer, the others less.

    Raises:
        ModelError: the folder is no model, or needs a component that is not registered.
    """
    folder = Path(model)
    described = read_model_file(folder)
    compute = Compute.resolve(dtype=described["compute"]["dtype"], device=device, compile=compile)
    return _assemble(folder, described, compute)


def _assemble(folder: Path, described: dict[str, Any], compute: Compute) -> Detector:
    network = folder / "network.safetensors"
    _refuse_larger(described["backbone"], network)
    backbone = construct(BACKBONES, described["backbone"])
    load_weights(backbone, str(network))
    extractor = construct(REGION_EXTRACTORS, described["region_extractor"], input_size=backbone.input_size)
    parts: dict[str, Any] = {}
    for key, registry in (("classifier", CLASSIFIERS), ("box_head", BOX_HEADS)):
        layer = described[f"{key}_layer"]
        if layer not in backbone.layers:
            raise ModelError(f"model {folder}: no layer {layer!r} for its {key}; expected one of {[*backbone.layers]}")
        dim = backbone.layers[layer].dim
        parts[key] = construct(registry, described[key], num_classes=len(described["class_names"]), feature_dim=dim)
        load_learnt(parts[key], folder / f"{key}.safetensors")
    scorer = RegionScorer(
        parts["classifier"], described["classifier_layer"], parts["box_head"], described["box_head_layer"]
    )
    return Detector(
        calibration=calibration_of_model(folder, described),
        class_names=tuple(described["class_names"]),
        generator=construct(PROPOSAL_GENERATORS, described["proposals"]),
        network=RegionNetwork(backbone, extractor, compute=compute, batch=RuntimeKeys().batch),
        scorer=scorer,
        settings=Postprocess(**described["postprocess"]),
    )


def calibration_of_model(folder: Path, described: Mapping[str, Any]) -> Calibration:
    """The thresholds and probabilities of a model folder; those that hold without where it has learnt none.

    Args:
        folder: the model.
        described: what ``read_model_file`` gives of it.

    Raises:
        ModelError: its file is missing or damaged.
    """
    num_classes, kind = len(described["class_names"]), CLASSIFIERS.get(described["classifier"]["NAME"]).score_kind
    if described["calibration"] == "none":
        return Calibration.none(num_classes, kind)
    file = folder / CALIBRATION_FILE
    state = read_tensors(file)
    try:
        return Calibration.of(state, num_classes, kind, described["calibration"])
    except ModelError as error:
        raise ModelError(f"{file}: {error}") from error


def _refuse_larger(chosen: dict[str, Any], file: Path) -> None:
    """A network of more numbers than its file has bytes would take memory for nothing."""
    if not file.is_file():
        raise ModelError(f"model {file}: missing or damaged; export it again with detkit train")
    with torch.device("meta"):
        backbone = construct(BACKBONES, chosen)
    outline = read_outline(str(file))
    assert outline is not None
    take_factors(backbone, outline.tensors)
    needed = sum(t.numel() for t in backbone.state_dict().values())
    if needed > (there := file.stat().st_size):
        raise ModelError(
            f"model {file}: {there} bytes, but the network of model.yaml has {needed} numbers; export it again"
        )
