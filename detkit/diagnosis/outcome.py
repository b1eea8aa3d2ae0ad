"""The detections and ground truths of a split, as columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from detkit.structures import OTHER_CLASS, Annotations, Boxes, Detections, Sample

PAIRS_TOGETHER = 1_000_000
"""Pairs of a detection and a ground truth whose overlap is computed at once."""


@dataclass(frozen=True, eq=False)
class Overlaps:
    """All overlapping pairs of a detection and a ground truth of its image, by detection, then by ground truth.

    Args:
        det: (P,) int64 row of the detection.
        truth: (P,) int64 row of the ground truth.
        iou: (P,) float64 intersection over union.
        inside: (P,) float64 share of the detection's area inside the ground truth.
    """

    det: np.ndarray
    truth: np.ndarray
    iou: np.ndarray
    inside: np.ndarray

    def __getitem__(self, rows: np.ndarray) -> Overlaps:
        return Overlaps(self.det[rows], self.truth[rows], self.iou[rows], self.inside[rows])


@dataclass(frozen=True, eq=False)
class Outcome:
    """D detections and T ground truths of I images, image by image.

    Boxes are x1, y1, x2, y2 in continuous pixels, x2 and y2 exclusive. ``Outcome.of`` makes it from samples.

    Args:
        class_names: the K classes.
        image_ids: ids of the I images.
        sizes: (I, 2) int64 height and width.
        det_boxes: (D, 4) float64.
        det_scores: (D,) float64, higher is better.
        det_labels: (D,) int64 classes 0..K-1.
        det_images: (D,) int64 positions in ``image_ids``, never falling.
        truth_boxes: (T, 4) float64.
        truth_labels: (T,) int64 classes, or -1 for an object of a class that is not selected.
        truth_images: (T,) int64, never falling.
        difficult: (T,) bool.
        crowd: (T,) bool.
        area: (T,) float64 area in pixels, by which COCO groups objects.
        truncated: (T,) int8: 1 if the object is truncated, 0 if not, -1 if it is not known.

    Raises:
        ValueError: if columns have wrong lengths, or rows are not sorted by image.
    """

    class_names: tuple[str, ...]
    image_ids: tuple[str, ...]
    sizes: np.ndarray
    det_boxes: np.ndarray
    det_scores: np.ndarray
    det_labels: np.ndarray
    det_images: np.ndarray
    truth_boxes: np.ndarray
    truth_labels: np.ndarray
    truth_images: np.ndarray
    difficult: np.ndarray
    crowd: np.ndarray
    area: np.ndarray
    truncated: np.ndarray

    def __post_init__(self) -> None:
        dets, truths = len(self.det_scores), len(self.truth_labels)
        shapes: dict[str, tuple[int, ...]] = {"sizes": (self.num_images, 2), "det_boxes": (dets, 4)}
        shapes |= dict.fromkeys(("det_scores", "det_labels", "det_images"), (dets,))
        shapes |= {"truth_boxes": (truths, 4)}
        shapes |= dict.fromkeys(("truth_images", "difficult", "crowd", "area", "truncated"), (truths,))
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"outcome: expected {name} of shape {shape}, got {getattr(self, name).shape}")
        for name in ("det_images", "truth_images"):
            images = getattr(self, name)
            if len(images) and (np.diff(images).min(initial=0) < 0 or images[-1] >= self.num_images or images[0] < 0):
                raise ValueError(f"outcome: expected {name} that never fall, from 0 to {self.num_images - 1}")

    @classmethod
    def of(cls, class_names: Sequence[str], samples: Iterable[Sample], detections: Sequence[Detections]) -> Outcome:
        """The outcome of a split.

        Args:
            class_names: the K classes.
            samples: its images; one without annotations counts as one without objects.
            detections: detections of each image, in the same order.
        """
        listed = list(samples)
        truths = [s.annotations if s.annotations is not None else _NOTHING for s in listed]
        images = np.arange(len(listed))
        return cls(
            class_names=tuple(class_names),
            image_ids=tuple(sample.image_id for sample in listed),
            sizes=np.array([sample.size for sample in listed], np.int64).reshape(-1, 2),
            det_boxes=_joined([d.boxes.numpy() for d in detections], np.float64, 4),
            det_scores=_joined([d.scores.numpy() for d in detections], np.float64),
            det_labels=_joined([d.labels.numpy() for d in detections], np.int64),
            det_images=np.repeat(images, [len(d) for d in detections]),
            truth_boxes=_joined([t.boxes.numpy() for t in truths], np.float64, 4),
            truth_labels=_joined([t.labels.numpy() for t in truths], np.int64),
            truth_images=np.repeat(images, [len(t) for t in truths]),
            difficult=_joined([t.difficult.numpy() for t in truths], bool),
            crowd=_joined([t.crowd.numpy() for t in truths], bool),
            area=_joined([t.area.numpy() for t in truths], np.float64),
            truncated=_joined([_truncated(t) for t in truths], np.int8),
        )

    @property
    def num_images(self) -> int:
        """I."""
        return len(self.image_ids)

    @property
    def num_classes(self) -> int:
        """K."""
        return len(self.class_names)

    @cached_property
    def ignored(self) -> np.ndarray:
        """(T,) bool: objects that a detector need not find: difficult, a crowd, or of another class."""
        return self.difficult | self.crowd | (self.truth_labels == OTHER_CLASS)

    @cached_property
    def num_truths(self) -> np.ndarray:
        """(K,) int64 number of objects of each class that a detector must find."""
        return np.bincount(self.truth_labels[~self.ignored], minlength=self.num_classes)

    @cached_property
    def order(self) -> np.ndarray:
        """(D,) rows of the detections, best first; of equal scores the lower row first."""
        return np.argsort(-self.det_scores, kind="stable")

    @cached_property
    def rank(self) -> np.ndarray:
        """(D,) the position of each detection in ``order``."""
        rank = np.empty(len(self.order), np.int64)
        rank[self.order] = np.arange(len(self.order))
        return rank

    @cached_property
    def overlaps(self) -> Overlaps:
        """All overlapping pairs of one image."""
        return box_overlaps(self.det_boxes, self.det_images, self.truth_boxes, self.truth_images, self.num_images)

    @cached_property
    def own_class(self) -> np.ndarray:
        """(P,) bool for each pair: the ground truth is of the detection's class, or of one that is not selected."""
        labels = self.truth_labels[self.overlaps.truth]
        same: np.ndarray = (labels == self.det_labels[self.overlaps.det]) | (labels == OTHER_CLASS)
        return same


def box_overlaps(
    boxes: np.ndarray, images: np.ndarray, others: np.ndarray, other_images: np.ndarray, num_images: int
) -> Overlaps:
    """All overlapping pairs of boxes of the same image; both lists are sorted by image.

    Args:
        boxes: (D, 4) float64.
        images: (D,) the image of each.
        others: (T, 4) float64.
        other_images: (T,) the image of each of the other boxes.
        num_images: I.
    """
    counts = np.bincount(other_images, minlength=num_images)
    starts = np.concatenate([[0], np.cumsum(counts)])
    partners = counts[images]
    ends = np.cumsum(partners)
    parts, first = [], 0
    while first < len(boxes):
        done = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, done + PAIRS_TOGETHER, side="right")))
        some = partners[first:last]
        det = np.repeat(np.arange(first, last), some)
        place = np.arange(some.sum()) - np.repeat(np.cumsum(some) - some, some)
        parts.append(_pairs(boxes, others, det, starts[images[det]] + place))
        first = last
    columns = ("det", "truth", "iou", "inside")
    joined = [np.concatenate([getattr(part, name) for part in [*parts, _NO_PAIRS]]) for name in columns]
    return Overlaps(*joined)


def _pairs(boxes: np.ndarray, others: np.ndarray, det: np.ndarray, truth: np.ndarray) -> Overlaps:
    own, other = boxes[det], others[truth]
    sides = np.minimum(own[:, 2:], other[:, 2:]) - np.maximum(own[:, :2], other[:, :2])
    shares = (sides > 0).all(1)
    det, truth, inter = det[shares], truth[shares], sides[shares].prod(1)
    area, other_area = (np.clip(b[:, 2:] - b[:, :2], 0, None).prod(1) for b in (own[shares], other[shares]))
    return Overlaps(det, truth, inter / (area + other_area - inter), inter / area)


def _joined(parts: Sequence[np.ndarray], dtype: type, width: int = 0) -> np.ndarray:
    empty: np.ndarray = np.zeros((0, width) if width else 0, dtype)
    return np.concatenate([empty, *(part.astype(dtype) for part in parts)])


def _truncated(truths: Annotations) -> np.ndarray:
    if truths.truncated is None:
        return np.full(len(truths), -1, np.int8)
    return truths.truncated.numpy()


_NO_PAIRS = Overlaps(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0))
_NOTHING = Annotations.of(Boxes.of([]), [])
