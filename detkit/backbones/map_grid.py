"""Where the cells of a network's last map lie in the image."""

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
        channels: numbers of a cell.
        size: (height, width) in cells.
        stride: pixels between neighbouring cells.
        origin: pixel coordinate, x and y alike, on which the first cell is centred.
    """

    channels: int
    size: tuple[int, int]
    stride: float
    origin: float


def map_grid(to_map: Callable[[Tensor], Tensor], side: int) -> MapGrid:
    """The grid of the map of an image, from a pass without numbers.

    A cell stands where the convolutions, poolings and paddings on its way put it. What spreads over the whole map and
    comes back as a factor or a summand of each cell, such as squeeze and excitation, moves no cell.

    Args:
        to_map: gives the map (1, C, h, w) of an image (1, 3, side, side), both on torch's device "meta".
        side: of the image in pixels.
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
    """Cells that stay where they are when others are added to them or multiplied with them."""

    def join(self, other: Axis) -> Axis:
        """The cells of the longer axis; of two alike, these."""
        return self if len(self.spans) >= len(other.spans) else other
