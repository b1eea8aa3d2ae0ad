"""Units of a layer, and the regions that excite them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from detkit.backbones.base import LayerSpec
from detkit.backbones.receptive_fields import ReceptiveField
from detkit.structures import Boxes, nms

UNIT_IOU = 0.1
"""Regions of one image that overlap a stronger one by more show the same thing. Source: R-CNN, section 3.1."""


@dataclass(frozen=True)
class Unit:
    """One number of a layer.

    Args:
        layer: the layer's name.
        number: its position among the D numbers.
        channel: its channel in the layer's map; ``number`` if the layer has no map.
        cell: its position among the h * w cells, rows first; 0 without a map.
        grid: (h, w) cells; (1, 1) without a map.
    """

    layer: str
    number: int
    channel: int
    cell: int
    grid: tuple[int, int]

    @classmethod
    def of(cls, layer: str, spec: LayerSpec, number: int) -> Unit:
        """The unit of a number 0..D-1, in the order C, H, W."""
        height, width = (*spec.shape[1:], 1, 1)[:2]
        return cls(layer, number, number // (height * width), number % (height * width), (height, width))

    def __str__(self) -> str:
        height, width = self.grid
        if height * width == 1:
            return f"{self.layer} {self.number}"
        row, column = divmod(self.cell, width)
        where = f"row {row}, column {column}" if width > 1 else f"bin {row}"
        return f"{self.layer} {self.number} (channel {self.channel}, {where})"

    @property
    def of_channel(self) -> slice:
        """The positions of all units of its channel."""
        cells = self.grid[0] * self.grid[1]
        return slice(self.channel * cells, (self.channel + 1) * cells)


def strongest_units(features: Tensor, row: int, layer: str, spec: LayerSpec, most: int) -> list[Unit]:
    """The units that a region excites most, at most one of each channel; units at 0 or below are left out.

    Many networks limit the activation of a unit, so that several units reach the limit. Of units with equal
    activation, those that the other regions excite less on average come first.

    Args:
        features: (N, D) features of an image's regions in the layer.
        row: row of the region.
        layer: name of the layer.
        spec: shape of the layer.
        most: maximal number of units.
    """
    values, means = (v.view(spec.shape[0], -1) for v in (features[row], features.mean(0)))
    alike = values == values.max(1, keepdim=True).values
    cells = torch.where(alike, -means, -torch.inf).argmax(1, keepdim=True)
    peaks, means = values.gather(1, cells)[:, 0], means.gather(1, cells)[:, 0]
    rarest = means.argsort(stable=True)
    channels = rarest[peaks[rarest].argsort(descending=True, stable=True)][:most]
    per_channel = spec.dim // spec.shape[0]
    return [Unit.of(layer, spec, int(c) * per_channel + int(cells[c])) for c in channels if peaks[c] > 0]


def strongest_regions(boxes: Boxes, activations: Tensor, most: int) -> Tensor:
    """Rows of one image's regions that excite a unit most, by falling activation; none overlaps a stronger one.

    Args:
        boxes: N regions.
        activations: (N,) activations of the unit; regions at 0 or below are left out.
        most: maximal number of regions.
    """
    rows = (activations > 0).nonzero()[:, 0]
    return rows[nms(boxes[rows], activations[rows], UNIT_IOU)[:most]]


def drawn_field(field: ReceptiveField, unit: Unit) -> np.ndarray | None:
    """(4,) the unit's field in a crop: first its centre, then its edges are clipped; None if it sees the whole crop.

    Source: R-CNN, section 3.1 and figure 4.
    """
    low, high = (field.cells[unit.cell, part].astype(float) for part in (slice(2), slice(2, 4)))
    centre, half = ((low + high) / 2).clip(0, field.side), (high - low) / 2
    drawn = np.concatenate([centre - half, centre + half]).clip(0, field.side)
    return None if (drawn == [0, 0, field.side, field.side]).all() else drawn


def channel_peak(features: Tensor, unit: Unit) -> float:
    """The largest activation of the unit's channel over (N, D) features; 0 for no regions."""
    values = features[:, unit.of_channel]
    return float(values.max()) if values.numel() else 0.0
