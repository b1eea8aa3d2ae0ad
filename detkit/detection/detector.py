"""The composed detector: an image in, detections out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict, overload

import numpy as np
from PIL import Image
from torch import Tensor
from typing_extensions import Unpack

from detkit.data.images import read_image
from detkit.detection.calibration import Calibration, ScoreKind
from detkit.detection.choice import MinScore, least_scores
from detkit.detection.found import Found
from detkit.detection.postprocess import Postprocess, finish
from detkit.detection.scorer import Candidates, OneImage, RegionScorer
from detkit.proposals.base import ProposalGenerator, checked_proposals
from detkit.regions.network import RegionNetwork
from detkit.structures import Detections, Proposals
from detkit.system.clock import Clock

Picture = np.ndarray | Image.Image | str | Path
"""(H, W, 3) uint8 RGB, a PIL image, or the path of a file."""


class How(TypedDict, total=False):
    """The options of ``Detector.detect``.

    Args:
        classes: names of the classes to detect; None detects all.
        most: maximal number of objects of an image; the best are kept.
        one_class_per_region: whether a region is reported for its best class only, even if the model's settings allow
            several.
        image_id: id of the image in stored proposals; by default the file's name without its ending.
        proposals: proposals of this image, if they are known already.
        clock: measures the steps decode, proposals, warp, network and classify. The last includes new crops, if the
            box head moves candidates more than once.
    """

    classes: Collection[str] | None
    most: int | None
    one_class_per_region: bool
    image_id: str
    proposals: Proposals | None
    clock: Clock | None


@dataclass(frozen=True, eq=False)
class Steps:
    """The results of all steps of a detector on one image.

    Args:
        image: (H, W, 3) uint8 RGB.
        proposals: its N regions.
        features: {layer: (N, D) float32} of the layers that were computed.
        min_score: (K,) float32, the lowest score of a candidate of each class; inf for a class that is not selected.
        settings: caps and suppression that were used.
        candidates: the regions above threshold and cap.
        detections: the detections after suppression, best first.
    """

    image: np.ndarray
    proposals: Proposals
    features: Mapping[str, Tensor]
    min_score: Tensor
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
        calibration: display thresholds and probabilities; None if nothing was learnt.
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
        """The classifier's kind of score: "margin" or "probability"."""
        return self.scorer.classifier.score_kind

    @overload
    def detect(  # type: ignore[overload-overlap]  # a text is a path, not a sequence of paths
        self, image: Picture, min_score: MinScore = None, **how: Unpack[How]
    ) -> Found: ...

    @overload
    def detect(self, image: Sequence[Picture], min_score: MinScore = None, **how: Unpack[How]) -> list[Found]: ...

    def detect(
        self, image: Picture | Sequence[Picture], min_score: MinScore = None, **how: Unpack[How]
    ) -> Found | list[Found]:
        """The objects of one image, best first; for a list of images, a list of results.

        Args:
            image: (H, W, 3) uint8 RGB, a PIL image, the path of a file, or a list of these. Pixels are used as they
                are stored, so EXIF's rotation is not applied.
            min_score: the lowest score that is shown, for all classes or for those that a mapping names; by default
                the thresholds of ``calibration``.
            how: see ``How``.

        Raises:
            DataError: if the file is no readable image, or the model uses stored proposals and has none for its id.
            ConfigError: if the model has no class of a selected name.
            ValueError: if the array is no (H, W, 3) uint8 image.
        """
        if isinstance(image, Sequence) and not isinstance(image, str):
            return [self.detect(one, min_score, **how) for one in image]
        asked: dict[str, Any] = {name: value for name, value in how.items() if name != "most"}
        steps = self.steps(image, min_score, **asked)
        kept = steps.detections[: how.get("most")]
        return Found(
            **vars(kept),
            image=steps.image,
            class_names=self.class_names,
            score_kind=self.score_kind,
            probabilities=self.probabilities(kept),
        )

    def steps(
        self,
        image: Picture,
        min_score: MinScore = None,
        *,
        classes: Collection[str] | None = None,
        one_class_per_region: bool = False,
        image_id: str = "",
        proposals: Proposals | None = None,
        layers: Sequence[str] = (),
        clock: Clock | None = None,
    ) -> Steps:
        """The results of all steps of ``detect``.

        Args:
            image: one image, as for ``detect``.
            min_score: as for ``detect``.
            classes: see ``How``.
            one_class_per_region: see ``How``.
            image_id: see ``How``.
            proposals: see ``How``.
            layers: layers to compute besides those that classifier and box head read.
            clock: see ``How``.
        """
        clock = clock or Clock()
        least = least_scores(self.calibration.thresholds, self.class_names, min_score, classes)
        with clock("decode"):
            pixels = _pixels(image)
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or not pixels.size:
            raise ValueError(
                f"detect: expected an (H, W, 3) uint8 RGB image with pixels, got {pixels.dtype} {pixels.shape}"
            )
        with clock("proposals"):
            known_as = image_id or (Path(image).stem if isinstance(image, str | Path) else "")
            if proposals is None:
                proposals = checked_proposals(
                    self.generator, self.generator.propose(pixels, known_as), pixels, known_as
                )
        wanted = list(dict.fromkeys([*self.scorer.layers, *layers]))
        features = self.network.of_image(pixels, proposals.boxes, wanted, clock)
        settings = replace(self.settings, one_class_per_region=True) if one_class_per_region else self.settings
        with clock("classify"):
            new = OneImage(proposals.image_size, lambda boxes: self.network.of_image(pixels, boxes, self.scorer.layers))
            found = self.scorer.candidates(proposals.boxes, features, settings, least, new)
            size = proposals.image_size
            kept = finish(found.refined, found.refined_scores, found.labels, found.rows, size, settings)
        return Steps(pixels, proposals, features, least, settings, found, kept)

    def probabilities(self, found: Detections) -> Tensor | None:
        """(N,) float32 probability that each detection is right; None if the model has learnt none."""
        return self.calibration.probability(found.scores, found.labels)


def _pixels(image: Picture) -> np.ndarray:
    """The array of an image in any of the accepted forms."""
    if isinstance(image, Image.Image):
        return np.asarray(image.convert("RGB"))
    return image if isinstance(image, np.ndarray) else read_image(image)
