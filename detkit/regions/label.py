"""Rules that make regions positives, negatives or neither."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from detkit.structures import OTHER_CLASS, Annotations, Boxes


@dataclass(frozen=True, eq=False)
class Truths:
    """The ground truths of an image: those that are learnt from, and those that only rule out negatives.

    Crowds and objects of other classes are never learnt from. Difficult objects are, unless ``difficult="ignore"``.
    """

    used: Annotations
    ignored: Annotations

    @classmethod
    def of(cls, annotations: Annotations | None, difficult: Literal["use", "ignore"]) -> Truths:
        """Splits annotations; None counts as an image without objects."""
        if annotations is None:
            annotations = Annotations.of(Boxes.of([]), [])
        out = annotations.crowd | (annotations.labels == OTHER_CLASS)
        if difficult == "ignore":
            out = annotations.ignored
        return cls(annotations[~out], annotations[out])


def class_overlaps(boxes: Boxes, truths: Annotations, num_classes: int) -> Tensor:
    """(N, K) float64: the best overlap of each box with the ground truths of each class; 0 without any.

    The overlap is IoU; for a crowd it is the share of the box inside the crowd. An object of another class counts for
    every class.
    """
    overlaps = torch.zeros(len(boxes), num_classes, dtype=torch.float64)
    if len(boxes) == 0 or len(truths) == 0:
        return overlaps
    pair = boxes.iou(truths.boxes)
    if bool(truths.crowd.any()):
        inside = boxes.intersection(truths.boxes) / boxes.area().clamp(min=1e-12)[:, None]
        pair = torch.where(truths.crowd[None], inside, pair)
    own = truths.labels != OTHER_CLASS
    overlaps.scatter_reduce_(1, truths.labels[own][None].expand(len(boxes), -1), pair[:, own], "amax")
    if not bool(own.all()):
        overlaps = torch.maximum(overlaps, pair[:, ~own].amax(1, keepdim=True))
    return overlaps


def finetune_labels(
    overlaps: Tensor,
    ignored: Tensor,
    foreground_iou: float = 0.5,
    background_from: float = 0.0,
    background_below: float | None = None,
) -> Tensor:
    """(N,) int64: the class of the best overlap, background K, or -1 for neither.

    The lower class wins a tie. A background region is -1 if its overlap with an ignored truth is not below the upper
    limit of background.
    Source: R-CNN, section 2.3 (fine-tuning); window_data_layer for the ties and for the three thresholds.

    Args:
        overlaps: (N, K) overlaps with the used truths.
        ignored: (N, K) overlaps with the ignored truths.
        foreground_iou: smallest best overlap of a foreground region.
        background_from: smallest best overlap of a background region.
        background_below: the best overlap of a background region is below this; None takes ``foreground_iou``.
    """
    background = overlaps.shape[1]
    end = foreground_iou if background_below is None else background_below
    best, label = overlaps.max(1)
    label[best < foreground_iou] = -1
    label[(best >= background_from) & (best < end)] = background
    near_ignored = (ignored >= end).any(1)
    label[(label == background) & near_ignored] = -1
    return label


def svm_labels(
    overlaps: Tensor,
    ignored: Tensor,
    truth_labels: Tensor,
    negative_iou: float = 0.3,
    ignore: Literal["per_class", "any_class"] = "per_class",
    positive_iou: float | None = None,
) -> Tensor:
    """(N, K) int8: +1 for positives of the class, -1 for its negatives, 0 for regions that are not used.

    The ground truths of a class are its positives. With ``positive_iou``, proposals are positives, too: each is a
    positive of the class that ``finetune_labels`` gives it at this threshold.

    A region is a negative of a class if its overlap with every ground truth of that class, used or ignored, is below
    ``negative_iou`` (strictly) or 0. A ground truth of another class is therefore a negative. With ``any_class`` the
    overlaps with ground truths of all classes count, so negatives are background only.
    Source: R-CNN, section 2.3 (object category classifiers) and appendix B.

    Args:
        overlaps: (N, K) overlaps with the used truths.
        ignored: (N, K) overlaps with the ignored truths.
        truth_labels: (N,) int64 class of a ground-truth row, -1 for a proposal.
        negative_iou: overlap from which a region is no negative; with 0, a region with any overlap is none.
        ignore: whether the ground truths of the class alone or those of all classes rule out a negative.
        positive_iou: overlap from which a proposal is a positive, at least ``negative_iou``; None takes ground truths
            alone.
    """
    reach = torch.maximum(overlaps, ignored)
    if ignore == "any_class":
        other = reach.max(1, keepdim=True).values.expand_as(reach)
        reach = torch.where((truth_labels >= 0)[:, None], reach, other)
    labels = torch.zeros(overlaps.shape, dtype=torch.int8)
    labels[(reach < negative_iou) | (reach == 0)] = -1
    is_truth = truth_labels >= 0
    labels[is_truth.nonzero()[:, 0], truth_labels[is_truth]] = 1
    if positive_iou is not None:
        near = finetune_labels(overlaps, ignored, positive_iou)
        near[is_truth | (near == overlaps.shape[1])] = -1
        labels[(near >= 0).nonzero()[:, 0], near[near >= 0]] = 1
    return labels


def box_targets(boxes: Boxes, truths: Annotations, min_iou: float = 0.6) -> Tensor:
    """(N,) int64: the row of the truth with the best IoU over all classes, or -1 if that is not above ``min_iou``.

    Source: R-CNN, appendix C (IoU > 0.6).
    """
    if len(truths) == 0 or len(boxes) == 0:
        return torch.full((len(boxes),), -1, dtype=torch.int64)
    best, row = boxes.iou(truths.boxes).max(1)
    return torch.where(best > min_iou, row, torch.full_like(row, -1))
