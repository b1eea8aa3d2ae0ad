"""Candidates with scores and moved boxes, from the features of an image's regions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from detkit.box_heads.base import BoxHead, checked_moves
from detkit.classifiers.base import Classifier, checked_scores
from detkit.detection.postprocess import Postprocess, select
from detkit.structures import Boxes

LEAST_IOU = 0.01
"""What a moved box has at least in common with its proposal, for the logarithm."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """The scored regions of one image that survive the cap per image.

    Args:
        rows: (M,) int64 proposal rows; a row occurs once for each class that it is a candidate of.
        labels: (M,) int64.
        scores: (M,) float32.
        boxes: the M proposals.
        refined: the boxes after the box head, not clipped; those that the settings exclude are not moved.
        refined_scores: (M,) float32 scores after the box head: ``scores``, unless the settings change scores.
        every_score: (N, K) float32 scores of all N proposals.
    """

    rows: Tensor
    labels: Tensor
    scores: Tensor
    boxes: Boxes
    refined: Boxes
    refined_scores: Tensor
    every_score: Tensor

    def __getitem__(self, kept: Tensor) -> Candidates:
        """The candidates for which (M,) bool ``kept`` is true."""
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
    """An image that can compute features of its regions.

    Args:
        size: (height, width).
        features: returns {layer: (N, D) float32} of boxes inside the image, for each of a scorer's ``layers``.
    """

    size: tuple[int, int]
    features: Callable[[Boxes], Mapping[str, Tensor]]


@dataclass(frozen=True, eq=False)
class RegionScorer:
    """Classifier and box head together. They turn features into candidates, in evaluation and in detection.

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
            min_score: the lowest score of a candidate, for all classes or (K,) for each. If the settings change scores,
                the final score counts.
            image: computes features of new crops; needed if the box head moves candidates more than once.
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
        """The M boxes after the last iteration, not clipped, and their (M,) scores.

        A box does not move any more if an iteration has not changed it, or if less than a pixel of it is in the image.
        Source: R-CNN, appendix C, whose authors iterated and saw no gain.

        Args:
            boxes: M candidates.
            features: (M, D) of the box head's layer; (M, 0) for one that reads none.
            labels: (M,) their classes, which they keep.
            scores: (M,).
            settings: number of iterations, lowest score of moved boxes, and whether new crops are scored.
            image: computes features of new crops.
        """
        given = boxes
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
                again = checked_scores(self.classifier, self.classifier.score(found[self.classifier_layer]), len(at))
                scores = scores.index_copy(0, at, again[torch.arange(len(at)), labels[at]])
            own = found[self.box_layer] if self.box_head.reads_features else torch.zeros(len(at), 0)
            new = self.refined(start[at], own, labels[at], scores[at], settings)
            boxes, moved = start, Boxes(moved.tensor.index_copy(0, at, new.tensor))
        return moved, self._aware(scores, given, moved, settings.iou_weight) if settings.iou_weight else scores

    def _aware(self, scores: Tensor, proposals: Boxes, moved: Boxes, weight: float) -> Tensor:
        """(M,) scores that know how well the M proposals lay, as far as the box head can tell."""
        iou = proposals.iou_of_pairs(moved).clamp(min=LEAST_IOU).float()
        return scores + weight * iou.log() if self.classifier.score_kind == "margin" else scores * iou**weight

    def refined(self, boxes: Boxes, features: Tensor, labels: Tensor, scores: Tensor, settings: Postprocess) -> Boxes:
        """(M,) boxes after the box head, not clipped; those that the settings exclude are not moved.

        Args:
            boxes: M candidates.
            features: (M, D) of the box head's layer; (M, 0) for one that reads none.
            labels: (M,) their classes.
            scores: (M,).
            settings: the score above which candidates are moved.
        """
        refined = checked_moves(self.box_head, self.box_head.refine(features, boxes, labels), len(boxes))
        if settings.refine_above is None:
            return refined
        moved = (scores > settings.refine_above)[:, None]
        return Boxes(torch.where(moved, refined.tensor, boxes.tensor))
