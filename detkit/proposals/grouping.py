"""Hierarchical grouping: from an over-segmentation to the boxes of all merged regions."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np

from detkit.proposals.ximgproc import require_ximgproc

Terms = Literal["CTSF", "TSF", "F", "S"]
"""The similarities that are summed: colour, texture, size, fill."""

COLOUR_BINS = 25


@dataclass(frozen=True, eq=False)
class Segmentation:
    """The segments of one image in one colour space.

    Args:
        image: (H, W) or (H, W, C) uint8 in that colour space.
        labels: (H, W) int32 segment of each pixel, 0..n-1.
    """

    image: np.ndarray
    labels: np.ndarray

    @classmethod
    def of(cls, image: np.ndarray, k: float, min_size: int, sigma: float = 0.8) -> Segmentation:
        """Felzenszwalb's graph segmentation. ``k`` sets the scale; segments have at least ``min_size`` pixels."""
        segmentation = require_ximgproc("SelectiveSearch").segmentation
        return cls(image, segmentation.createGraphSegmentation(sigma, float(k), min_size).processImage(image))

    def __len__(self) -> int:
        return int(self.labels.max()) + 1

    @cached_property
    def areas(self) -> np.ndarray:
        """(n, 1) int32 number of pixels of each segment."""
        return np.bincount(self.labels.ravel(), minlength=len(self)).astype(np.int32)[:, None]

    @cached_property
    def boxes(self) -> np.ndarray:
        """(n, 4) int64 bounding boxes x1, y1, x2, y2; x2 and y2 are exclusive."""
        height, width = self.labels.shape
        low = np.full((2, len(self)), max(height, width))
        high = np.zeros((2, len(self)), np.int64)
        labels = self.labels.ravel()
        for axis, coordinate in enumerate((np.arange(width)[None], np.arange(height)[:, None])):
            values = np.broadcast_to(coordinate, (height, width)).ravel()
            np.minimum.at(low[axis], labels, values)
            np.maximum.at(high[axis], labels, values + 1)
        return np.concatenate([low, high]).T

    @cached_property
    def neighbours(self) -> np.ndarray:
        """(P, 2) int64 pairs of touching segments a < b, ascending.

        A pixel touches its left, upper and upper left neighbour. As in OpenCV, pairs within the first row or column do
        not count, so that the grouping is the same.
        """
        here = self.labels[1:, 1:].ravel().astype(np.int64)
        codes = []
        for other in (self.labels[1:, :-1], self.labels[:-1, 1:], self.labels[:-1, :-1]):
            there = other.ravel()
            apart = here != there
            a, b = here[apart], there[apart]
            codes.append(np.unique(np.minimum(a, b) * len(self) + np.maximum(a, b)))
        return np.stack(np.divmod(np.unique(np.concatenate(codes)), len(self)), axis=1)

    @cached_property
    def colours(self) -> np.ndarray:
        """(n, 25 C) float32 colour histograms, each with sum 1.

        Source: Uijlings et al., section 3.2 (25 bins a channel); the bin edges are OpenCV's.
        """
        channels = self.image.reshape(*self.labels.shape, -1)
        counts = [
            np.bincount(
                self.labels.ravel() * COLOUR_BINS + (channels[..., c].ravel().astype(np.int64) * COLOUR_BINS >> 8),
                minlength=len(self) * COLOUR_BINS,
            ).reshape(len(self), COLOUR_BINS)
            for c in range(channels.shape[2])
        ]
        histograms = np.concatenate(counts, axis=1)
        return (histograms / histograms.sum(1, keepdims=True)).astype(np.float32)


class Similarity:
    """The similarity of the regions of one hierarchy: a sum of terms, each in [0, 1].

    OpenCV computes texture, size and fill. detkit computes colour, because OpenCV scans the whole image once for each
    segment, which takes minutes for a large photograph.

    Args:
        segmentation: the first regions.
        terms: names of the terms.
        texture: OpenCV's texture strategy. The hierarchies of one segmentation share it, as it stores their histograms.
    """

    def __init__(self, segmentation: Segmentation, terms: Terms, texture: Any) -> None:
        strategies = require_ximgproc("SelectiveSearch").segmentation
        make = {
            "T": lambda: texture,
            "S": strategies.createSelectiveSearchSegmentationStrategySize,
            "F": strategies.createSelectiveSearchSegmentationStrategyFill,
        }
        parts = [make[term]() for term in terms if term != "C"]
        self._strategy = strategies.createSelectiveSearchSegmentationStrategyMultiple()
        for part in parts:
            self._strategy.addStrategy(part, 1.0)
        self._weight = len(parts)
        self._colours = segmentation.colours.copy() if "C" in terms else None
        # OpenCV's strategies read the areas from this very array; whoever merges regions must keep it up to date.
        self._areas = segmentation.areas.copy()
        # A number that stays the same is what lets ``texture`` keep its histograms.
        self._strategy.setImage(segmentation.image, segmentation.labels, self._areas, image_id=0)

    def to(self, region: int, others: list[int]) -> list[float]:
        """The similarity of a region to each of the other regions."""
        get = self._strategy.get
        values = [self._weight * get(region, other) for other in others]
        if self._colours is not None and others:
            shared = np.minimum(self._colours[region], self._colours[others]).sum(1).tolist()
            values = [value + colour for value, colour in zip(values, shared, strict=True)]
        return values

    def merge(self, a: int, b: int) -> None:
        """Merges two regions. From now on both numbers stand for their union."""
        area_a, area_b = int(self._areas[a, 0]), int(self._areas[b, 0])
        self._strategy.merge(a, b)
        if self._colours is not None:
            mixed = (self._colours[a] * area_a + self._colours[b] * area_b) / np.float32(area_a + area_b)
            self._colours[a] = self._colours[b] = mixed
        self._areas[a] = self._areas[b] = area_a + area_b


def group(segmentation: Segmentation, similarity: Similarity) -> np.ndarray:
    """The bounding boxes of all regions of a hierarchy: n segments, then one row for each merge, in merge order.

    The two most similar neighbours merge, until no two regions touch: after n - 1 merges if all segments are connected.
    Of equal similarities, the pair of the lower rows merges first.

    Returns:
        (R, 4) int64 x1, y1, x2, y2, n <= R <= 2n - 1.

    Source: Uijlings et al., algorithm 1.
    """
    boxes = [tuple(box) for box in segmentation.boxes.tolist()]
    number = list(range(len(boxes)))  # of each region, the number under which the similarity knows it
    around: list[set[int]] = [set() for _ in boxes]
    for a, b in segmentation.neighbours.tolist():
        around[a].add(b)
        around[b].add(a)
    queue = []
    for a, near in enumerate(around):
        later = sorted(b for b in near if b > a)
        queue += [(-value, a, b) for value, b in zip(similarity.to(a, later), later, strict=True)]
    heapq.heapify(queue)
    gone = [False] * len(boxes)
    while queue:
        _, a, b = heapq.heappop(queue)
        if gone[a] or gone[b]:
            continue
        similarity.merge(number[a], number[b])
        gone[a] = gone[b] = True
        new, (ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = len(boxes), boxes[a], boxes[b]
        boxes.append((min(ax1, bx1), min(ay1, by1), max(ax2, bx2), max(ay2, by2)))
        number.append(min(number[a], number[b]))
        gone.append(False)
        near = (around[a] | around[b]) - {a, b}
        around[a] = around[b] = set()
        around.append(near)
        ordered = sorted(near)
        for other in ordered:
            around[other] -= {a, b}
            around[other].add(new)
        for value, other in zip(similarity.to(number[new], [number[o] for o in ordered]), ordered, strict=True):
            heapq.heappush(queue, (-value, other, new))
    return np.array(boxes, np.int64).reshape(-1, 4)
