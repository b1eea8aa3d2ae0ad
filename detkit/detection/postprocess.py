"""From scores of regions to detections: caps, clipping and non-maximum suppression."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from detkit.config.ranges import Fraction, NonNegative, Positive
from detkit.structures import Boxes, Detections


@dataclass(frozen=True, kw_only=True)
class Postprocess:
    """The settings of post-processing, config section POSTPROCESS.

    Source: R-CNN, section 2.2; rcnn_test.m for the caps.

    Args:
        top_per_image: the most candidates of one class in one image.
        top_per_class: times the number of images, the most candidates of one class in a whole split; 0 sets no cap.
            It applies where a split is evaluated, not where single images are detected.
        nms_iou: a box whose IoU with a better one of its class exceeds this is suppressed.
        one_class_per_region: whether a region is a candidate of one class only: of those for which it scores enough,
            the one with the best score. ``detkit detect --one-class-per-region`` does it with any model.
        refine_above: candidates that score more are moved by the box head, the others keep their proposal's box; null
            moves all, as the paper does.
        refine_iterations: how often the box head moves a candidate. From the second time on it reads the features of a
            new crop, of the box that it has made, clipped to the image.
        rescore: whether the classifier scores these new crops, too, so that a detection has the score of the last
            crop instead of its proposal's. It changes nothing with one iteration.
        iou_weight: how much a candidate loses whose proposal lay badly, as the box head has moved it: so many times the
            logarithm of the IoU of the two boxes is added to a margin, or this power of it is a factor of a
            probability; 0 leaves scores alone.
        vote_iou: what NMS keeps becomes the weighted mean of all boxes of its class, after the box head, that have at
            least this IoU with it; null keeps it as it is.
        vote_slope: a box weighs sigmoid(``vote_slope`` x score) in this mean, which suits margins. null takes the score
            itself, or 0 where it is negative, which suits probabilities.

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
        """Whether a candidate's score may be another once the box head is done."""
        return self.iou_weight > 0 or (self.rescore and self.refine_iterations > 1)


def select(scores: Tensor, settings: Postprocess, min_score: float | Tensor = -np.inf) -> tuple[Tensor, Tensor, Tensor]:
    """The candidates of one image: for each class its best regions, by class, then by falling score.

    A tie between regions goes to the lower row, a tie between the classes of one region to the lower class.
    A score of -inf is never a candidate: that class does not fire.

    Args:
        scores: (N, K) float32, no NaN.
        settings: the cap per image, and whether a region may be a candidate of several classes.
        min_score: the least score of a candidate, of all classes or (K,) of each.

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
    """(K,) float32: the score below which a class's candidates are pruned from every image of a split.

    It is the score of the class's last candidate inside the cap; equals of it are all kept, so the order of the images
    does not matter. A class with no more candidates than the cap has -inf.

    Args:
        scores: (M,) of the candidates of all images.
        labels: (M,) their classes.
        num_classes: K.
        num_images: the images of the split, those without candidates included.
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


def nms(boxes: Boxes, scores: Tensor, iou: float) -> Tensor:
    """The rows that greedy suppression keeps, by falling score; a tie goes to the lower row.

    A box is suppressed when its IoU with a kept one exceeds ``iou``; at exactly ``iou`` it stays.
    """
    from torchvision import ops  # slow to import, and evaluation suppresses nothing

    # In double precision an IoU of 3/10 is not above 0.3; in single precision it is.
    return ops.nms(boxes.tensor.double(), scores.double(), iou)


def vote(boxes: Boxes, scores: Tensor, best: Tensor, settings: Postprocess) -> Boxes:
    """The B boxes that are kept, each moved to the weighted mean of the boxes around it, itself among them.

    Args:
        boxes: N candidates of one class.
        scores: (N,).
        best: (B,) rows of the boxes that are kept.
        settings: least IoU of a box that votes, and what it weighs.
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

    Where settings ask for votes, the boxes that are kept are moved by them, at last.
    Scores of -inf, which a rescored crop may have, are dropped as well.

    A tie goes to the lower class, then to the earlier candidate.

    Args:
        boxes: M candidates after the box head, not clipped.
        scores: (M,).
        labels: (M,).
        rows: (M,) the proposals that they come from.
        image_size: (height, width).
        settings: the NMS threshold.
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
