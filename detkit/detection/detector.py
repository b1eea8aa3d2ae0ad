"""The composed detector: an image in, detections out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import Tensor

from detkit.data.images import read_image
from detkit.detection.calibration import Calibration, ScoreKind
from detkit.detection.postprocess import Postprocess, finish
from detkit.detection.scorer import Candidates, OneImage, RegionScorer
from detkit.proposals.base import ProposalGenerator, checked_proposals
from detkit.regions.network import RegionNetwork
from detkit.structures import Detections, Proposals
from detkit.system.clock import Clock


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
