"""Post-processing of scored regions to detections: caps, clipping and non-maximum suppression."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from detkit.config.ranges import Fraction, NonNegative, Positive
from detkit.structures import Boxes, Detections, nms


@dataclass(frozen=True, kw_only=True)
class Postprocess:
    """The settings of post-processing. Config section POSTPROCESS.

    Source: R-CNN, section 2.2; rcnn_test.m for the caps.

    Args:
        top_per_image: maximal number of candidates of one class in one image.
        top_per_class: cap on the candidates of one class in a whole split: this number times the number of images; 0
            sets no cap. It applies to the evaluation of a split, not to detection in single images.
        nms_iou: a box is suppressed if its IoU with a better box of its class exceeds this.
        one_class_per_region: whether a region is a candidate of one class only: the class of its best score among
            those with a sufficient score. ``detkit detect --one-class-per-region`` does it with any model.
        refine_above: the box head moves only candidates with a higher score; the others keep their proposal's box.
            null moves all, as the paper does.
        refine_iterations: number of times that the box head moves a candidate. From the second time on it reads the
            features of a new crop: of the moved box, clipped to the image.
        rescore: whether the classifier also scores these new crops, so that a detection has the score of its last
            crop, not of its proposal. It changes nothing with one iteration.
        iou_weight: weight of the IoU between a proposal and its moved box, which lowers the score of a badly placed
            proposal. ``iou_weight`` x log(IoU) is added to a margin; IoU ** ``iou_weight`` multiplies a probability.
            0 changes no score.
        vote_iou: a box that NMS keeps is replaced by the weighted mean of all boxes of its class, after the box head,
            whose IoU with it is at least this; null does not replace it.
        vote_slope: weight of a box in this mean: sigmoid(``vote_slope`` x score), for margins; null takes the score
            itself, for probabilities. With margins the stages refuse null, as margins below 0 would weigh nothing.

    Source of votes: Gidaris, Komodakis, Object detection via a multi-region & semantic segmentation-aware CNN model,
    2015, section 5.
    """

    top_per_image: Annotated[int, Positive] = 100
    top_per_class: Annotated[int, NonNegative] = 40
    nms_iou: Annotated[float, Fraction] = 0.3
    one_class_per_region: bool = False
    refine_above: float | None = None
    refine_iterations: Annotated[int, Positive] = 1
    rescore: bool = False
    iou_weight: Annotated[float, NonNegative] = 0.0
    vote_iou: Annotated[float, Positive, Fraction] | None = None
    vote_slope: Annotated[float, NonNegative] | None = None

    @property
    def changes_scores(self) -> bool:
        """Whether the box head's moves may change the score of a candidate."""
        return self.iou_weight > 0 or (self.rescore and self.refine_iterations > 1)


def select(scores: Tensor, settings: Postprocess, min_score: float | Tensor = -np.inf) -> tuple[Tensor, Tensor, Tensor]:
    """The candidates of one image: the best regions of each class, ordered by class, then by falling score.

    The lower row wins a tie between regions; the lower class wins a tie between classes of a region. A region with the
    score -inf is never a candidate.

    Args:
        scores: (N, K) float32, no NaN.
        settings: the cap per image, and whether a region may be a candidate of several classes.
        min_score: the lowest score of a candidate, for all classes, or (K,) for each.

    Returns:
        rows, labels (int64) and scores (float32) of M candidates.
    """
    allowed = (scores > -np.inf) & (scores >= min_score)
    if settings.one_class_per_region and scores.numel():
        # argmax promises no order among equals; the first class of the stable sort is the lowest.
        best = torch.where(allowed, scores, -torch.inf).sort(dim=1, descending=True, stable=True).indices[:, :1]
        allowed &= torch.zeros_like(allowed).scatter_(1, best, True)
    ranked = torch.where(allowed, scores, -torch.inf).sort(dim=0, descending=True, stable=True)
    by_class, rows = (t[: settings.top_per_image].T for t in ranked)
    labels, place = (~by_class.isneginf()).nonzero(as_tuple=True)
    return rows[labels, place], labels, by_class[labels, place]


def set_thresholds(scores: Tensor, labels: Tensor, num_classes: int, num_images: int, settings: Postprocess) -> Tensor:
    """(K,) float32: the score below which the cap over a split removes candidates of each class.

    It is the score of the last candidate inside the cap. All candidates with this score stay, so the order of the
    images does not matter. It is -inf for a class with at most as many candidates as the cap.

    Args:
        scores: (M,) of the candidates of all images.
        labels: (M,) their classes.
        num_classes: K.
        num_images: number of images of the split, with or without candidates.
        settings: the cap.
    """
    thresholds = torch.full((num_classes,), -torch.inf)
    cap = settings.top_per_class * num_images
    if cap == 0:
        return thresholds
    for label in range(num_classes):
        own = scores[labels == label]
        if len(own) > cap:
            thresholds[label] = own.topk(cap).values[-1]
    return thresholds


def vote(boxes: Boxes, scores: Tensor, best: Tensor, settings: Postprocess) -> Boxes:
    """The B kept boxes, each replaced by the weighted mean of the boxes around it, itself among them.

    Args:
        boxes: N candidates of one class.
        scores: (N,).
        best: (B,) rows of the kept boxes.
        settings: lowest IoU of a box that votes, and its weight.
    """
    assert settings.vote_iou is not None
    near = boxes[best].iou(boxes) >= settings.vote_iou
    own, slope = scores.double(), settings.vote_slope
    weights = torch.where(near, own.clamp(min=0) if slope is None else torch.sigmoid(slope * own), 0)
    # All weights may be 0; a box without area overlaps nothing, not even itself.
    weights[torch.arange(len(best)), best] += torch.finfo(torch.float64).tiny
    mean = weights @ boxes.tensor.double() / weights.sum(1, keepdim=True)
    return Boxes(mean.float())


def finish(
    boxes: Boxes, scores: Tensor, labels: Tensor, rows: Tensor, image_size: tuple[int, int], settings: Postprocess
) -> Detections:
    """The detections of one image, by falling score: boxes clipped, those without area dropped, NMS in each class.

    With ``vote_iou``, the kept boxes are then replaced by weighted means. Candidates with a score of -inf, which a
    rescored crop may have, are dropped. The lower class, then the earlier candidate, wins a tie.

    Args:
        boxes: M candidates after the box head, not clipped.
        scores: (M,).
        labels: (M,).
        rows: (M,) rows of their proposals.
        image_size: (height, width).
        settings: suppression and votes.
    """
    found = Detections(boxes.clip(image_size), scores, labels, rows)
    found = found[((found.boxes.area() > 0) & (scores > -torch.inf)).nonzero()[:, 0]]
    kept, voted = [], Boxes(found.boxes.tensor.clone())
    for label in found.labels.unique():
        own = (found.labels == label).nonzero()[:, 0]
        best = nms(found.boxes[own], found.scores[own], settings.nms_iou)
        kept.append(own[best])
        if settings.vote_iou is not None:
            voted.tensor[own[best]] = vote(found.boxes[own], found.scores[own], best, settings).tensor
    if not kept:
        return found
    order = torch.cat(kept)
    if settings.vote_iou is not None:
        found = replace(found, boxes=voted)
    return found[order[found.scores[order].argsort(descending=True, stable=True)]]
