"""Test objects at several scales, each with a proposal beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from torch import Tensor

from detkit.box_heads.base import BoxHead
from detkit.box_heads.coding import encode_boxes
from detkit.data.images import sample_image
from detkit.run.runner import Run
from detkit.structures import Boxes, Sample
from detkit.study.learnt import region_network

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCALES = (1.0, 0.5)
SHIFT, GROWTH = 0.12, 1.15
"""A proposal stands this share of the object's sides away from it, and is so many times as large."""


@dataclass(frozen=True, eq=False)
class View:
    """An object at one scale.

    Args:
        pixels: (H, W, 3) uint8 RGB, the whole picture.
        proposal: one box.
        goal: the object's box.
        features: (1, D) features of the proposal.
    """

    pixels: np.ndarray
    proposal: Boxes
    goal: Boxes
    features: Tensor


@dataclass(frozen=True, eq=False)
class SeenObject:
    """An object of a test image at each of ``SCALES``.

    Args:
        image: number of the image.
        label: the object's class.
        views: the view at each scale.
    """

    image: int
    label: int
    views: Sequence[View]

    def placed(self, head: BoxHead, scale: int) -> float:
        """IoU of the proposal with the object after a box head has moved it."""
        view = self.views[scale]
        moved = head.refine(view.features, view.proposal, torch.tensor([self.label]))
        return float(moved.iou(view.goal)[0, 0])


def seen_objects(run: Run, layer: str, most: int) -> list[SeenObject]:
    """The largest object of each of the first test images, ``most`` at most, with features of the run's network."""
    network = region_network(run)
    seen: list[SeenObject] = []
    for image, sample in enumerate(run.datasets("TEST")):
        own = _largest(sample) if len(seen) < most else None
        if own is None:
            continue
        views = []
        for scale in SCALES:
            pixels, proposal, goal = at_scale(sample_image(sample), own[0], scale)
            views.append(View(pixels, proposal, goal, network.of_image(pixels, proposal, [layer])[layer]))
        seen.append(SeenObject(image, own[1], views))
    return seen


def _largest(sample: Sample) -> tuple[Boxes, int] | None:
    """The largest object of an image that is neither difficult nor a crowd, with its class."""
    truths = sample.annotations
    if truths is None or bool(truths.ignored.all()):
        return None
    truths = truths[~truths.ignored]
    at = int(truths.boxes.area().argmax())
    return truths.boxes[at : at + 1], int(truths.labels[at])


def at_scale(image: np.ndarray, goal: Boxes, scale: float) -> tuple[np.ndarray, Boxes, Boxes]:
    """The picture at a scale, a proposal beside the object, and the object."""
    box = goal.tensor[0].double()
    centre, size = (box[:2] + box[2:]) / 2, box[2:] - box[:2]
    centre, half = centre + SHIFT * size, size * GROWTH / 2
    proposal = torch.cat([centre - half, centre + half]).float()[None]
    if scale != 1:
        height, width = (max(1, round(side * scale)) for side in image.shape[:2])
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return image, Boxes(proposal * scale), Boxes(goal.tensor * scale)


def mean_distance(first: Tensor, second: Tensor) -> float:
    """Mean distance of (N, D) features, in percent of the norm of the first."""
    return 100 * float(((first - second).norm(dim=1) / first.norm(dim=1).clamp(min=1e-6)).mean())


def mean_moves(pairs: Sequence[tuple[Boxes, Boxes]]) -> list[str]:
    """The mean move of the centre from proposals to objects, in pixels and in sides, and the mean IoU."""
    boxes, goals = (Boxes.cat([pair[at] for pair in pairs]) for at in (0, 1))
    lengths = [encode_boxes(boxes, goals, coder=c)[:, :2].norm(dim=1).mean() for c in ("pixels", "relative")]
    ious = torch.stack([proposal.iou(goal)[0, 0] for proposal, goal in pairs])
    return [f"{float(lengths[0]):.1f}", f"{float(lengths[1]):.3f}", f"{float(ious.mean()):.3f}"]


def picture_of(seen: SeenObject) -> Figure:
    """One object at each scale, with proposal and object."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    figure = Figure(figsize=(7, 3.2), dpi=120, layout="constrained")
    for at, (view, scale) in enumerate(zip(seen.views, SCALES), 1):
        height, width = view.pixels.shape[:2]
        axes = figure.add_subplot(1, len(SCALES), at, title=f"scale {scale:g}: {width} x {height} px")
        axes.imshow(view.pixels)
        for boxes, color, name in ((view.proposal, "#0072b2", "proposal"), (view.goal, "#009e73", "object")):
            x1, y1, x2, y2 = boxes.tensor[0].tolist()
            axes.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, color=color, linewidth=2, label=name))
        axes.legend(loc="lower right", fontsize=7)
    return figure
