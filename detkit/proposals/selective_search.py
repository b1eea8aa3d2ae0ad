"""Selective search."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import cv2
import numpy as np
import torch
from torch import Tensor

from detkit.config.ranges import Fraction, NonNegative
from detkit.proposals.base import ProposalGenerator
from detkit.proposals.content import content_rng
from detkit.proposals.grouping import Segmentation, Similarity, Terms, group
from detkit.proposals.ximgproc import require_ximgproc
from detkit.registry import PROPOSAL_GENERATORS
from detkit.structures import Boxes, Proposals, nms


def _hue(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(cv2.cvtColor(image, cv2.COLOR_RGB2HSV)[..., 0])


def _red_green_grey(image: np.ndarray) -> np.ndarray:
    return np.dstack([image[..., 0], image[..., 1], cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)])


COLOUR_SPACES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "HSV": lambda image: cv2.cvtColor(image, cv2.COLOR_RGB2HSV),
    "Lab": lambda image: cv2.cvtColor(image, cv2.COLOR_RGB2LAB),
    "grey": lambda image: cv2.cvtColor(image, cv2.COLOR_RGB2GRAY),
    "hue": _hue,
    "RGI": _red_green_grey,
}


@dataclass(frozen=True)
class Recipe:
    """Every colour space is segmented with every (k, min_size) and grouped by every sum of similarities."""

    spaces: tuple[str, ...]
    segments: tuple[tuple[int, int], ...]
    sums: tuple[Terms, ...]


RECIPES = {
    "paper": Recipe(("HSV", "Lab"), ((50, 50), (100, 100)), ("CTSF", "TSF")),
    "single": Recipe(("HSV",), ((200, 100),), ("CTSF",)),
    "fast": Recipe(("HSV", "Lab"), tuple((k, 100) for k in (150, 300, 450)), ("CTSF", "TSF")),
    "quality": Recipe(
        ("HSV", "Lab", "grey", "hue", "RGI"),
        tuple((k, 100) for k in (150, 300, 450, 600, 750)),
        ("CTSF", "TSF", "F", "S"),
    ),
}


@PROPOSAL_GENERATORS.register()
class SelectiveSearch(ProposalGenerator):
    """Selective search: the boxes of all regions of several hierarchical groupings of an image.

    The segmentation and the similarities are OpenCV's. Proposals come best first, and large regions tend to come early.

    Objectness is minus the authors' priority: the place in the hierarchy times a random number from 0 to 1. The place
    is 1 for the last merge, and the number of segments for a segment. There is one random number for each merge of each
    hierarchy and for each segment of each segmentation. It depends on the image's content, so the same image gives the
    same list everywhere.

    Args:
        mode: colour spaces and scales of the groupings. "paper" is what R-CNN ran, the authors' fast mode: HSV and Lab,
            k of 50 and 100 with min_size = k. "single", "fast" and "quality" are OpenCV's modes, with k from 150 up
            and min_size 100; they give fewer, coarser boxes. (In "quality", OpenCV overwrites the hue channel with the
            blue channel; detkit does not.)
        min_side: boxes with a shorter side are dropped, in every mode; in pixels of the unscaled image. Lower it for
            small objects.
        width: an image wider than this number of pixels is scaled to it before the search; 0 never scales (as for
            VOC). Time grows about with the number of pixels, so use 500 for large photographs. Objects of a few pixels
            after scaling get no box of their own.
        nms_iou: a box is dropped if its IoU with a kept box of better objectness exceeds this; 1 keeps all, as in the
            paper. In the mode "fast", 0.8 drops nearly half of the boxes (what it costs: docs/performance.md).
        max_boxes: number of boxes of the best objectness that are kept, after ``nms_iou``; 0 keeps all.

    Source: Uijlings et al., IJCV 2013; R-CNN, section 2.2 and selective_search_boxes.m.

    Example:
        >>> import numpy as np
        >>> image = np.full((120, 160, 3), 40, np.uint8)
        >>> image[30:90, 40:110] = (200, 60, 60)
        >>> proposals = SelectiveSearch(mode="single").propose(image)
        >>> bool((proposals.boxes.iou(Boxes.of([[40, 30, 110, 90]])) > 0.8).any())
        True
    """

    version: ClassVar[int] = 2
    reach_keys: ClassVar[tuple[str, ...]] = ("MIN_SIDE",)

    def __init__(
        self,
        *,
        mode: Literal["paper", "fast", "quality", "single"] = "paper",
        min_side: Annotated[float, NonNegative] = 20.0,
        width: Annotated[int, NonNegative] = 0,
        nms_iou: Annotated[float, Fraction] = 1.0,
        max_boxes: Annotated[int, NonNegative] = 0,
    ) -> None:
        require_ximgproc("SelectiveSearch")
        self.mode = mode
        self.min_side = min_side
        self.width = width
        self.nms_iou = nms_iou
        self.max_boxes = max_boxes

    def propose(self, image: np.ndarray, image_id: str = "") -> Proposals:
        """The boxes of all groupings without duplicates, best objectness first."""
        searched = self._resize(image)
        boxes, priority = self._ranked(searched)
        (height, width), (searched_height, searched_width) = image.shape[:2], searched.shape[:2]
        scale = np.array([width / searched_width, height / searched_height] * 2)
        large = ((boxes[:, 2:] - boxes[:, :2]) * scale[:2] >= self.min_side).all(1)
        found = Boxes.of(boxes[large] * scale).clip((height, width))
        objectness = torch.as_tensor(-priority[large], dtype=torch.float32)
        kept = torch.arange(len(found)) if self.nms_iou == 1 else nms(found, objectness, self.nms_iou)
        kept = kept[: self.max_boxes or None]
        return Proposals(found[kept], objectness[kept], (height, width))

    def reach(self, boxes: Boxes, image_size: tuple[int, int]) -> Tensor:
        """(N,) the greatest IoU of each box with a box of allowed size: its sides, but at least ``min_side`` long."""
        if min(image_size) < self.min_side:
            return torch.zeros(len(boxes), dtype=torch.float64)
        corners = boxes.tensor.double()
        sides = corners[:, 2:] - corners[:, :2]
        return boxes.area() / sides.clamp(min=self.min_side).prod(1)

    def _resize(self, image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        if not 0 < self.width < width:
            return image
        size = (self.width, max(1, round(height * self.width / width)))
        return cv2.resize(image, size, interpolation=cv2.INTER_AREA)

    def _ranked(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(N, 4) distinct boxes and their (N,) priorities, ascending.

        Every hierarchy ranks its own merges. The segments are ranked once, behind the hierarchies that share them: a
        number for each hierarchy, of which the smaller counts, would favour them, and they are small.
        """
        boxes, places = [], []
        for segments, hierarchies in self._groupings(image):
            for merged in hierarchies:
                boxes.append(merged)
                places.append(np.arange(len(merged), 0, -1))
            boxes.append(segments)
            places.append(np.full(len(segments), len(hierarchies[0]) + 1))
        all_boxes = np.concatenate(boxes)
        all_priorities = np.concatenate(places) * content_rng(image).random(len(all_boxes))
        order = np.argsort(all_priorities, kind="stable")
        _, first = np.unique(all_boxes[order], axis=0, return_index=True)
        kept = order[np.sort(first)]
        return all_boxes[kept], all_priorities[kept]

    def _groupings(self, image: np.ndarray) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
        """For each segmentation the (n, 4) boxes of its segments, and the boxes of the merges of each hierarchy."""
        recipe = RECIPES[self.mode]
        ximgproc = require_ximgproc("SelectiveSearch")
        for space in recipe.spaces:
            converted = COLOUR_SPACES[space](image)
            for k, min_size in recipe.segments:
                segmentation = Segmentation.of(converted, k, min_size)
                texture = ximgproc.segmentation.createSelectiveSearchSegmentationStrategyTexture()
                regions = [group(segmentation, Similarity(segmentation, terms, texture)) for terms in recipe.sums]
                yield segmentation.boxes, [found[len(segmentation) :] for found in regions]
