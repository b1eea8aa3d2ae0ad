"""The windows in which the network sees a region: the region itself, its mirror image, and a wider window around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from detkit.backbones.base import LayerSpec
from detkit.errors import ConfigError
from detkit.structures import Boxes


class RegionWindows:
    """One, two or four windows of each region, and how their features become those of the region.

    Args:
        wider: factor on width and height of a second window, around the same centre; 0 for no second window. Its
            features are appended to those of the first.
        mirror: whether each window is also seen in the mirror image. Both features are averaged, after mirroring the
            cells back.
        extractor: class with the key WIDER, for the message.

    Raises:
        ConfigError: if ``wider`` is above 0 and at most 1.
    """

    def __init__(self, *, wider: float = 0.0, mirror: bool = False, extractor: type) -> None:
        if 0 < wider <= 1:
            raise ConfigError(
                f"REGION_EXTRACTOR.{extractor.__name__}.WIDER: {wider} is not wider; allowed: 0, or more than 1"
            )
        self.wider, self.mirror = wider, mirror

    @property
    def are_single(self) -> bool:
        """Whether each region has one window, itself."""
        return not (self.wider or self.mirror)

    def of(self, boxes: Boxes, flips: np.ndarray) -> tuple[Boxes, np.ndarray]:
        """The windows of n regions, and which of them are mirrored.

        The regions come first, then their wider windows, then the mirror images of all these.
        """
        if self.wider:
            corners = boxes.tensor.double()
            centre, half = (corners[:, :2] + corners[:, 2:]) / 2, (corners[:, 2:] - corners[:, :2]) * (self.wider / 2)
            wide = Boxes(torch.cat([centre - half, centre + half], 1).float())
            boxes, flips = Boxes.cat([boxes, wide]), np.tile(flips, 2)
        if self.mirror:
            boxes, flips = Boxes.cat([boxes, boxes]), np.concatenate([flips, ~np.asarray(flips, bool)])
        return boxes, flips

    def describe(self, layers: Mapping[str, LayerSpec]) -> Mapping[str, LayerSpec]:
        """The shapes of a region's features by layer, from those of one window."""
        if not self.wider:
            return layers
        return {name: LayerSpec((2 * spec.shape[0], *spec.shape[1:])) for name, spec in layers.items()}

    def join(
        self, found: Mapping[str, Tensor], counts: Sequence[int], layers: Mapping[str, LayerSpec]
    ) -> dict[str, Tensor]:
        """The features of regions from those of their windows.

        Args:
            found: {layer: (N, D)} of the windows of several images, in the order of ``of``.
            counts: number of windows of each image.
            layers: the shapes of one window's features by layer.
        """
        return {
            name: torch.cat([self._joined(own, layers[name].shape) for own in rows.split(list(counts) or [0])])
            for name, rows in found.items()
        }

    def _joined(self, rows: Tensor, shape: tuple[int, ...]) -> Tensor:
        """One layer of one image."""
        if self.mirror:
            half = len(rows) // 2
            rows = (rows[:half] + _mirrored(rows[half:], shape)) / 2
        half = len(rows) // 2
        return torch.cat([rows[:half], rows[half:]], 1) if self.wider else rows


def _mirrored(rows: Tensor, shape: tuple[int, ...]) -> Tensor:
    """(N, D) features of a layer of that shape, each row of cells from right to left."""
    return rows.unflatten(1, shape).flip(-1).flatten(1) if len(shape) == 3 else rows
