"""Regression targets of boxes, and boxes from them."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from detkit.structures import Boxes

Coder = Literal["log", "relative", "pixels"]
"""What the four numbers of a move are.

"log" is the paper's: the shift of the centre in widths and heights of the box, the log of the change of its sides.
"relative" has the same shift, and the change of a side in sides: Gw / Pw - 1. "pixels" has plain differences in pixels,
of centres and of sides, which depend on the scale of the object."""

MAX_LOG_SCALE = math.log(1000 / 16)
"""Greatest log of a change of width or height that ``decode_boxes`` follows, so that no side overflows.

Learnable examples overlap their truth by more than 0.6 and stay under log(1 / 0.6) = 0.51."""

MIN_SIDE = 1e-3
"""Least side in pixels; inclusive widths of boxes one pixel wide would be 0 and divide by it."""


def encode_boxes(boxes: Boxes, targets: Boxes, *, inclusive: bool = False, coder: Coder = "log") -> Tensor:
    """(N, 4) float64: shift of the centre, change of width and height, in the units of ``coder``.

    Source: R-CNN, appendix C, eqs. 6-9.

    Args:
        boxes: N regions.
        targets: the N boxes that they should become.
        inclusive: whether a width is the last pixel minus the first, one less than the number of pixels, as in the
            paper's code.
        coder: what the four numbers are; the paper's by default.

    Example:
        >>> from detkit.structures import Boxes
        >>> encode_boxes(Boxes.of([[0, 0, 10, 20]]), Boxes.of([[5, 0, 25, 20]]))  # 1 width to the right, log(2) wider
        tensor([[1.0000, 0.0000, 0.6931, 0.0000]], dtype=torch.float64)
    """
    centre, size = _centre_size(boxes.tensor, inclusive)
    goal_centre, goal_size = _centre_size(targets.tensor, inclusive)
    if coder == "log":
        return torch.cat([(goal_centre - centre) / size, torch.log(goal_size / size)], dim=1)
    difference = torch.cat([goal_centre - centre, goal_size - size], dim=1)
    return difference if coder == "pixels" else difference / size.repeat(1, 2)


def decode_boxes(boxes: Boxes, deltas: Tensor, *, inclusive: bool = False, coder: Coder = "log") -> Boxes:
    """The N boxes moved by (N, 4) deltas of ``coder``, not clipped; a side grows or shrinks by at most 62.5 times.

    Source: R-CNN, appendix C, eqs. 1-4.

    Example:
        >>> import torch
        >>> from detkit.structures import Boxes
        >>> decode_boxes(Boxes.of([[0, 0, 10, 20]]), torch.tensor([[1.0, 0.0, 0.0, 0.0]])).tensor.tolist()
        [[10.0, 0.0, 20.0, 20.0]]
    """
    return Boxes(moved_corners(boxes.tensor, deltas, inclusive=inclusive, coder=coder))


def moved_corners(corners: Tensor, deltas: Tensor, *, inclusive: bool = False, coder: Coder = "log") -> Tensor:
    """``decode_boxes`` for tensors (..., 4) that broadcast. No step depends on their values, so it can be exported."""
    centre, size = _centre_size(corners, inclusive)
    shift, change = deltas[..., :2].double(), deltas[..., 2:].double()
    if coder == "pixels":
        shift, change = shift / size, change / size
    centre = centre + size * shift
    if coder == "log":
        half = size * torch.exp(change.clamp(-MAX_LOG_SCALE, MAX_LOG_SCALE)) / 2
    else:
        half = size * (1 + change).clamp(math.exp(-MAX_LOG_SCALE), math.exp(MAX_LOG_SCALE)) / 2
    return torch.cat([centre - half, centre + half + int(inclusive)], dim=-1).float()


def _centre_size(corners: Tensor, inclusive: bool) -> tuple[Tensor, Tensor]:
    """(..., 2) centres and sizes in float64."""
    low, high = corners[..., :2].double(), corners[..., 2:].double() - int(inclusive)
    size = (high - low).clamp(min=MIN_SIDE)
    return low + size / 2, size
