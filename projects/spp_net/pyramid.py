"""Regions pooled from the map of the whole image to a pyramid of maxima (SPP-net)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import roi_pool

from detkit.backbones.base import Backbone
from detkit.config.ranges import NonNegative, Positive
from detkit.regions.scaled_maps import ScaledMaps
from detkit.registry import REGION_EXTRACTORS

SHORT_SIDES = (480, 576, 688, 864, 1200)
"""Shorter sides of an image for a network of 224 px. Source: SPP-net, section 4.1."""

WINDOW = 208 / 224
"""Side of a region, in sides of a crop, that the released code scales to: 13 cells of 16 pixels."""


@REGION_EXTRACTORS.register()
class SpatialPyramid(ScaledMaps):
    """Convolves the whole image, pools each region to a pyramid of maxima, and runs the remaining layers on it.

    The backbone's key LEVELS gives the levels of the pyramid; if it is empty, there is the one level of the network's
    own pooling. A region consists of the cells whose centres are inside it. Each level divides them into n x n bins: on
    an axis of L cells, bin i holds the cells from floor(i * L / n) to ceil((i + 1) * L / n), exclusive. No bin is
    empty.

    Args:
        input_size: the backbone's crop side.
        short_sides: lengths in pixels to which the shorter side of the image is scaled. Empty takes the five
            published lengths for a network of 224 px, in proportion for other networks.
        long_side: maximal length of the longer side of a scaled image; a longer image is scaled less. 0 takes three
            times the longest of ``short_sides``.
        nearest_by: how the scale of a region is chosen. "pixels", as in the paper: the scale at which its number of
            pixels is nearest to a crop's. "side", as in the released code: the scale nearest to the one at which its
            side would be 208/224 of a crop's.
        margin: largest distance of a cell's centre from the region, in strides of the map; 0 in the paper, 1.5 of 16
            pixels in the released code.

    Raises:
        ConfigError: if ``long_side`` is less than the longest of ``short_sides``.

    Source: SPP-net, sections 2.2 and 4.1, appendix A; its released code for rounding.

    Example:
        >>> import numpy as np
        >>> from detkit.backbones.tiny import TinyNet
        >>> from detkit.regions.network import RegionNetwork
        >>> from detkit.structures import Boxes
        >>> from detkit.system.compute import Compute
        >>> net = TinyNet(width=8, fc_dim=16, levels=(1, 2))
        >>> extractor = SpatialPyramid(input_size=net.input_size, short_sides=(120,))
        >>> network = RegionNetwork(net, extractor, compute=Compute.resolve(device="cpu"), batch=8)
        >>> image, boxes = np.zeros((120, 160, 3), np.uint8), Boxes.of([[40, 30, 110, 90], [0, 0, 50, 50]])
        >>> tuple(network.of_image(image, boxes, ["fc7"])["fc7"].shape)
        (2, 16)
    """

    def __init__(
        self,
        *,
        input_size: int,
        short_sides: tuple[Annotated[int, Positive], ...] = (),
        long_side: Annotated[int, NonNegative] = 0,
        nearest_by: Literal["pixels", "side"] = "pixels",
        margin: Annotated[float, NonNegative] = 1.5 / 16,
    ) -> None:
        sides = short_sides or tuple(round(side * input_size / 224) for side in SHORT_SIDES)
        super().__init__(input_size, sides, long_side or 3 * max(sides))
        self.nearest_by = nearest_by
        self.margin = margin

    def nearest(self, areas: np.ndarray, size: np.ndarray, scaled: np.ndarray) -> np.ndarray:
        """(n,) int64, the scale of each area, by number of pixels or by side."""
        if self.nearest_by == "pixels":
            return super().nearest(areas, size, scaled)
        sides = np.sqrt((areas[:, 2:] - areas[:, :2]).prod(1)).clip(min=1e-6)
        wanted = np.floor(WINDOW * self.input_size * size.min() / sides + 0.5)
        scale: np.ndarray = np.abs(wanted[:, None] - scaled.min(1)).argmin(1)
        return scale

    def stretch(self, size: np.ndarray, scaled: np.ndarray) -> np.ndarray:
        """(S, 2) lengths per pixel; the centres of the shorter side's first and last pixel fall on the scaled ones."""
        factors = (scaled.min(1) - 1).clip(min=1) / max(size.min() - 1, 1)
        return np.repeat(factors[:, None], 2, 1)

    def placed(self, areas: np.ndarray, stretch: np.ndarray) -> np.ndarray:
        """(n, 4) first and last pixel of each region in the scaled image, counted from 0."""
        return (areas - [0, 0, 1, 1]) * stretch

    def pooled(self, backbone: Backbone, maps: Tensor, areas: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """The named layers, each (n, D). The maxima replace the backbone's own pooling."""
        regions = torch.cat([areas[:, :1], self.cells(backbone, areas[:, 1:], maps.shape[2:])], 1)
        maps = maps.float()
        bins = [roi_pool(maps, regions, n).flatten(2) for n in backbone.levels or backbone.pool_size[:1]]
        return backbone.after_pool(torch.cat(bins, 2).unflatten(2, backbone.pool_size), layers)

    def cells(self, backbone: Backbone, pixels: Tensor, size: Sequence[int]) -> Tensor:
        """(n, 4) float32 first and last cell, in x and y, of each region in a map of this height and width.

        Args:
            backbone: gives the positions of the map's cells.
            pixels: (n, 4) first and last pixel, counted from 0.
            size: height and width of the map.
        """
        inward = (0.5 - self.margin) * backbone.stride
        first = backbone.map_origin - 0.5  # pixel 0 is centred on 0.5
        low = ((pixels[:, :2] - first + inward) / backbone.stride + 0.5).floor()
        high = ((pixels[:, 2:] - first - inward) / backbone.stride - 0.5).ceil()
        middle = ((low + high) / 2).floor()
        crossed = low > high
        ends = [torch.where(crossed, middle, end) for end in (low, high)]
        last = torch.tensor(size, device=pixels.device).flip(0) - 1
        return torch.cat([torch.minimum(end.clamp(min=0), last) for end in ends], 1)
