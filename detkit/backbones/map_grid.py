"""The position in the image of the cells of a network's last map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from detkit.backbones.field_tracer import Axis, Tracer


@dataclass(frozen=True)
class MapGrid:
    """The map of a square image.

    Args:
        channels: channels of the map.
        size: (height, width) in cells.
        stride: pixels between neighbouring cells.
        origin: pixel coordinate, the same in x and y, of the centre of the first cell.
    """

    channels: int
    size: tuple[int, int]
    stride: float
    origin: float


def map_grid(to_map: Callable[[Tensor], Tensor], side: int) -> MapGrid:
    """The grid of the map of a square image, from a pass on the device "meta".

    The convolutions, poolings and paddings on a cell's way give its position. An operation that sees the whole map and
    returns a factor or a summand for each cell, such as squeeze and excitation, does not move cells.

    Args:
        to_map: gives the map (1, C, h, w) of an image (1, 3, side, side), both on torch's device "meta".
        side: side of the image in pixels.
    """
    pixels = _MainWay(np.stack([np.arange(side), np.arange(side) + 1], 1).astype(np.float64), 1.0)
    image = torch.empty(1, 3, side, side, device="meta", requires_grad=True)
    with Tracer({}) as tracer:
        tracer.put(image, (pixels, pixels))
        maps = to_map(image)
    rows, _ = tracer.of(maps)
    height, width = maps.shape[2:]
    return MapGrid(maps.shape[1], (height, width), rows.step, float(rows.spans[0].mean()))


class _MainWay(Axis):
    """Cells that do not move when other cells are added to them or multiplied with them."""

    def join(self, other: Axis) -> Axis:
        """The cells of the longer axis; of two alike, these."""
        return self if len(self.spans) >= len(other.spans) else other
