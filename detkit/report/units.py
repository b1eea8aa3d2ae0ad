"""The regions of a run that excite single units most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detkit.backbones.base import LayerSpec
from detkit.backbones.receptive_fields import receptive_fields
from detkit.backbones.shapes import shape_of_network
from detkit.config.node import Config
from detkit.detection.units import Unit, channel_peak, strongest_regions
from detkit.errors import ConfigError
from detkit.report.unit_source import SAMPLED, UnitSource

KEPT = 1000
"""Regions of each unit that are kept. Source: R-CNN, section 3.1."""
CHOSEN, ALIKE = 6, 0.5
"""How many units are chosen, and from which correlation on two of them show the same."""
RULE = (
    f"of each channel the cell whose largest activation differs most from image to image over {SAMPLED} images "
    f"(standard deviation); of these the first {CHOSEN} that correlate by less than {ALIKE:g} with those before them"
)


@dataclass(eq=False)
class TopRegions:
    """The regions that excite one unit most. Of each image, regions that overlap a stronger one are left out.

    Args:
        unit: the unit.
        peak: the largest activation of its channel so far.
        rows: (M,) rows of the index, by falling activation.
        activations: (M,) activations of these rows.
    """

    unit: Unit
    peak: float = 0.0
    rows: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    activations: np.ndarray = field(default_factory=lambda: np.zeros(0, np.float32))

    @property
    def relative(self) -> np.ndarray:
        """(M,) activations divided by the channel's largest activation."""
        return self.activations / (self.peak or 1.0)

    def plain(self, source: UnitSource) -> dict[str, Any]:
        """The regions as JSON values."""
        index = source.features.index
        regions = [
            {
                "image": index.samples[int(index.image[row])].image_id,
                "box": [round(v, 2) for v in index.boxes.tensor[int(row)].tolist()],
                "activation": float(activation),
                "relative": float(share),
            }
            for row, activation, share in zip(self.rows, self.activations, self.relative, strict=True)
        ]
        unit = {"number": self.unit.number, "channel": self.unit.channel, "cell": self.unit.cell}
        return {**unit, "channel_peak": self.peak, "regions": regions}


def top_regions(source: UnitSource, units: Sequence[Unit]) -> list[TopRegions]:
    """The top regions of each unit, from one pass over all regions of a source.

    Args:
        source: the regions.
        units: units of its layer.
    """
    tops, index = [TopRegions(unit) for unit in units], source.features.index
    for image, features in source.blocks(source.requests):
        first, boxes = index.rows(image).start, index.boxes[index.rows(image)]
        for top in tops:
            top.peak = max(top.peak, channel_peak(features, top.unit))
            values = features[:, top.unit.number]
            floor = float(top.activations[-1]) if len(top.activations) == KEPT else 0.0
            found = strongest_regions(boxes, torch.where(values > floor, values, 0.0), KEPT).numpy()
            rows = np.concatenate([top.rows, first + found])
            activations = np.concatenate([top.activations, values.numpy()[found]])
            order = np.argsort(-activations, kind="stable")[:KEPT]
            top.rows, top.activations = rows[order], activations[order]
    return tops


def chosen_units(source: UnitSource, numbers: Sequence[int] = ()) -> list[Unit]:
    """The units of these numbers; without numbers, the units that ``RULE`` chooses.

    Raises:
        ConfigError: if the layer has no such unit, or none that changes from image to image.
    """
    for number in numbers:
        if not 0 <= number < source.spec.dim:
            raise ConfigError(f"--unit {number}: {source.layer} has the units 0 to {source.spec.dim - 1}")
    if numbers:
        return [Unit.of(source.layer, source.spec, number) for number in dict.fromkeys(numbers)]
    places = np.unique(np.linspace(0, len(source.requests) - 1, min(SAMPLED, len(source.requests))).astype(int))
    sample = [source.requests[place] for place in places]
    peaks = torch.stack([features.max(0).values for _, features in source.blocks(sample)])
    found = [Unit.of(source.layer, source.spec, number) for number in diverse(peaks, source.spec)]
    if not found:
        raise ConfigError(
            f"units: no unit of {source.layer} changes over {len(sample)} image(s); name some with --unit, or look at "
            "more images"
        )
    return found


def diverse(peaks: Tensor, spec: LayerSpec) -> list[int]:
    """The numbers of the units that ``RULE`` chooses; fewer if the layer has too few units that change.

    Args:
        peaks: (I, D) the largest activation of each unit in each of I images.
        spec: the layer's shape.
    """
    spread = peaks.std(0, correction=0).view(spec.shape[0], -1)
    best, cells = spread.max(1)
    order = best.argsort(descending=True, stable=True)
    order = order[best[order] > 0]
    numbers = order * spread.shape[1] + cells[order]
    centred = peaks[:, numbers] - peaks[:, numbers].mean(0)
    directions = centred / centred.norm(dim=0).clamp(min=1e-12)
    chosen: list[int] = []
    for place in range(len(numbers)):
        if len(chosen) < CHOSEN and bool((directions[:, chosen].T @ directions[:, place] < ALIKE).all()):
            chosen.append(place)
    return [int(number) for number in numbers[chosen]]


def fields_table(config: Config) -> list[str]:
    """A line for each convolution, pooling and layer of the network with its receptive field in the crop."""
    backbone = shape_of_network(config)
    fields = receptive_fields(backbone)
    width = max(len(name) for name in fields)
    lines = [
        f"crops of {backbone.input_size} px",
        f"{'layer':{width}} {'sees':>6} {'apart':>7} {'first at':>8} {'share':>6}",
    ]
    for name, one in fields.items():
        apart = f"{one.stride:.4g}" if one.stride else "-"
        lines.append(f"{name:{width}} {one.size:6} {apart:>7} {one.offset:8.4g} {one.share:6.0%}")
    return lines
