"""The windows in which the network sees a region: the region itself, or also a wider window around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from detkit.backbones.base import LayerSpec
from detkit.errors import ConfigError
from detkit.structures import Boxes


class RegionWindows:
    """One or two windows of each region. The features of a second, wider window are appended to those of the first.

    Args:
        wider: factor on width and height of the second window, around the same centre; 0 for no second window.
        extractor: class with the key WIDER, for the message.

    Raises:
        ConfigError: if ``wider`` is above 0 and at most 1.
    """

    def __init__(self, wider: float, *, extractor: type) -> None:
        if 0 < wider <= 1:
            raise ConfigError(
                f"REGION_EXTRACTOR.{extractor.__name__}.WIDER: {wider} is not wider; allowed: 0, or more than 1"
            )
        self.wider = wider

    def of(self, boxes: Boxes, flips: np.ndarray) -> tuple[Boxes, np.ndarray]:
        """The windows of n regions, and which of them are mirrored.

        Args:
            boxes: the regions.
            flips: (n,) bool, regions to mirror.

        Returns:
            The regions and, if there are wider windows, these behind them, in the same order; and as many ``flips``.
        """
        if not self.wider:
            return boxes, flips
        corners = boxes.tensor.double()
        centre, half = (corners[:, :2] + corners[:, 2:]) / 2, (corners[:, 2:] - corners[:, :2]) * (self.wider / 2)
        wide = Boxes(torch.cat([centre - half, centre + half], 1).float())
        return Boxes.cat([boxes, wide]), np.tile(flips, 2)

    def describe(self, layers: Mapping[str, LayerSpec]) -> Mapping[str, LayerSpec]:
        """The shapes of a region's features by layer, from those of one window."""
        if not self.wider:
            return layers
        return {name: LayerSpec((2 * spec.shape[0], *spec.shape[1:])) for name, spec in layers.items()}

    def join(self, found: Mapping[str, Tensor], counts: Sequence[int]) -> dict[str, Tensor]:
        """The features of regions from those of their windows.

        Args:
            found: {layer: (N, D)} of the windows of several images, in the order of ``of``.
            counts: number of windows of each image; none if there are no rows.

        Returns:
            {layer: (N, D)}, or (N / 2, 2 D) if there are wider windows.
        """
        if not self.wider:
            return dict(found)
        if not counts:
            return {name: rows.tile(1, 2) for name, rows in found.items()}
        return {
            name: torch.cat([torch.cat(own.chunk(2), 1) for own in rows.split(list(counts))])
            for name, rows in found.items()
        }
