"""Pooling to a pyramid: maps of any size become a fixed number of maxima."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from detkit.backbones.base import LayerSpec


def pyramid_pool(maps: Tensor, levels: Sequence[int]) -> Tensor:
    """The maxima of n x n bins of each map, for each n of the levels.

    On an axis of L cells, bin i holds the cells from floor(i * L / n) to ceil((i + 1) * L / n), exclusive.
    Source: SPP-net, section 2.2.

    Args:
        maps: (N, C, h, w).
        levels: bins on a side.

    Returns:
        (N, C, bins, 1), level after level, rows first.
    """
    return torch.cat([F.adaptive_max_pool2d(maps, n).flatten(2) for n in levels], 2)[..., None]


def pool5_shape(channels: int, own_side: int, levels: Sequence[int]) -> LayerSpec:
    """The shape of pool5: that of the pyramid, or, without levels, that of the network's own pooling."""
    grid = (sum(n * n for n in levels), 1) if levels else (own_side, own_side)
    return LayerSpec((channels, *grid))
