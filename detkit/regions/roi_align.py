"""Regions pooled from maps by two matrix products."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def roi_align(
    maps: Tensor, regions: Tensor, bins: tuple[int, int], *, stride: int, sampling_ratio: int = 0, cells: int = 0
) -> Tensor:
    """RoIAlign: the mean of bilinear samples in each bin of each region. Differentiable in the maps.

    The sampling points of a region form a grid, and bilinear weights are products of one weight per axis. Pooling is
    therefore ``Y @ map @ X.T`` with a matrix of weights for each axis. These products use all threads; torchvision's
    kernel returns the same numbers, but uses one thread. The average of neighbouring bins is taken on the weights.

    Args:
        maps: (B, C, h, w).
        regions: (N, 5) float32: number of the map, then x1, y1, x2, y2 in pixels of the image.
        bins: bins of a region in y and x.
        stride: pixels of a map cell; cell i is centred at stride * (i + 1/2).
        sampling_ratio: sampling points of a bin in each direction; 0 takes one for each map cell that the bin covers.
        cells: number of cells in each direction to which the bins are averaged, as by ``F.adaptive_avg_pool2d``; 0
            keeps the bins.

    Returns:
        (N, C, *bins) or (N, C, cells, cells) of the maps' dtype; 0 outside the map and for regions without area.

    Source: RoIAlign of Mask R-CNN, section 3; torchvision.ops.roi_align(aligned=True) for details not given there.
    """
    _, channels, height, width = maps.shape
    first = regions[:, 0].long() * height
    boxes = regions[:, 1:] / stride - 0.5
    rows = _weights(boxes[:, 1], boxes[:, 3], bins[0], height, sampling_ratio)
    columns = _weights(boxes[:, 0], boxes[:, 2], bins[1], width, sampling_ratio)
    if cells:
        rows, columns = (F.adaptive_avg_pool1d(w.transpose(1, 2), cells).transpose(1, 2) for w in (rows, columns))
    # The maps stand below each other; a region's weights are nought on all but its own.
    stacked = maps.permute(0, 2, 3, 1).reshape(-1, width * channels)
    placed = rows.new_zeros(*rows.shape[:2], len(stacked))
    at = first[:, None, None] + torch.arange(height, device=maps.device)
    placed.scatter_(2, at.expand_as(rows), rows)
    narrow = placed.to(maps.dtype).flatten(0, 1) @ stacked
    narrow = narrow.view(len(regions), rows.shape[1], width, channels)
    return (columns.to(maps.dtype)[:, None] @ narrow).permute(0, 3, 1, 2)


def _weights(low: Tensor, high: Tensor, bins: int, length: int, sampling_ratio: int) -> Tensor:
    """(N, bins, length) float32 weights of a line of cells, cell i at coordinate i, in each bin of (N,) intervals."""
    step = (high - low) / bins
    counts = torch.full_like(step, sampling_ratio) if sampling_ratio else step.ceil().clamp(min=0)
    most = int(counts.max()) if len(counts) else 0
    point, counts = torch.arange(most, device=low.device), counts[:, None, None]
    place = torch.arange(bins, device=low.device)[:, None] + (point + 0.5) / counts.clamp(min=1)
    at = low[:, None, None] + step[:, None, None] * place
    counted = (point < counts) & (at >= -1) & (at <= length)
    at = at.clamp(0, length - 1)
    below = at.floor()
    share = counted / counts.clamp(min=1)
    above = (at - below) * share
    weights = at.new_zeros(len(low), bins, length)
    weights.scatter_add_(2, below.long(), share - above)
    return weights.scatter_add_(2, (below.long() + 1).clamp(max=length - 1), above)
