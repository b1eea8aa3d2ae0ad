"""The receptive field of each layer of a network, from its kernels, strides and paddings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from detkit.backbones.base import Backbone
from detkit.backbones.field_tracer import Axes, Axis, Tracer


@dataclass(frozen=True, eq=False)
class ReceptiveField:
    """The part of a crop that the cells of one layer see.

    Args:
        cells: (n, 4) float64 x1, y1, x2, y2 of each cell, rows first; in pixels of the crop, not clipped to it.
        stride: pixels between neighbouring cells; 0 if every cell sees the same.
        side: side of the crop in pixels.
    """

    cells: np.ndarray
    stride: float
    side: int

    @property
    def size(self) -> int:
        """Side of the largest cell's field in pixels; it may be larger than the crop."""
        return round(float((self.cells[:, 2:] - self.cells[:, :2]).max()))

    @property
    def offset(self) -> float:
        """Pixel coordinate of the centre of the first cell's field."""
        return float(self.cells[0, ::2].mean())

    @property
    def text(self) -> str:
        """A text with the size of the field and of the crop."""
        return f"{self.size} of {self.side} px" if self.size < self.side else f"the whole crop of {self.side} px"

    @property
    def share(self) -> float:
        """Share of the crop's side that the field covers, 0 to 1."""
        return min(1.0, self.size / self.side)


def receptive_fields(backbone: Backbone) -> dict[str, ReceptiveField]:
    """The receptive field of each convolution and pooling in the order in which they run, and of each named layer.

    The network runs once on the device "meta" and carries each cell's first and last pixel along. Where branches meet,
    a cell sees what any of the branches sees. An unknown operation that does not work cell by cell counts as seeing the
    whole map, so no field is too small. A fully connected layer sees the whole crop, and the padding that the cells at
    its border see.

    Args:
        backbone: on any device, "meta" too; unchanged.

    Returns:
        {name: field}: convolutions by their names in the network, poolings as "pool behind NAME", layers by their
        names.
    """
    side = backbone.input_size
    state = {
        f"backbone.{name}": torch.empty_like(t, device="meta", dtype=torch.float32 if t.is_floating_point() else None)
        for name, t in backbone.state_dict().items()
    }
    pixels = Axis(np.stack([np.arange(side), np.arange(side) + 1], 1).astype(np.float64), 1.0)
    # With a gradient no operation writes into a part of another's output, where its field would be lost.
    crop = torch.empty(1, 3, side, side, device="meta", requires_grad=True)
    with Tracer(state) as tracer:
        tracer.put(crop, (pixels, pixels))
        maps, layers = functional_call(_Parts(backbone), state, (crop,))
    found = {name: _field(axes, side) for name, axes in tracer.rows.items()}
    named = {name: _field(tracer.of(layers[name]), side) for name in backbone.layers}
    if backbone.levels:
        first = next(iter(backbone.layers))
        rows, columns = tracer.of(maps)
        bins = [_field((rows.bins(n), columns.bins(n)), side) for n in backbone.levels]
        named[first] = ReceptiveField(np.concatenate([one.cells for one in bins]), min(b.stride for b in bins), side)
    return found | named


class _Parts(nn.Module):
    """A backbone whose map is given, too."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, crop: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        maps = self.backbone.map(crop)
        return maps, self.backbone.advance(maps, list(self.backbone.layers))


def _field(axes: Axes, side: int) -> ReceptiveField:
    rows, columns = axes
    y, x = np.meshgrid(np.arange(len(rows.spans)), np.arange(len(columns.spans)), indexing="ij")
    low = [columns.spans[x.ravel(), 0], rows.spans[y.ravel(), 0]]
    high = [columns.spans[x.ravel(), 1], rows.spans[y.ravel(), 1]]
    return ReceptiveField(np.stack([*low, *high], 1), columns.step, side)
