"""RoI pooling: regions of a map are pooled to one size by maxima."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import torch
import torchvision
from torch import Tensor

from detkit.backbones.base import Backbone
from detkit.config.ranges import NonNegative, Positive
from detkit.regions.roi_align import roi_align
from detkit.regions.scaled_maps import ScaledMaps
from detkit.registry import REGION_EXTRACTORS


@REGION_EXTRACTORS.register()
class RoIPool(ScaledMaps):
    """Convolves the whole image and pools each region to one size, in place of the network's last pooling.

    Source: Fast R-CNN, sections 2.1 and 2.4; ROIPoolingLayer of its code for the rounding.

    Args:
        input_size: the backbone's crop side.
        short_sides: lengths in pixels to which the shorter side of the image is scaled. With several, a region
            uses the scale at which its number of pixels is nearest to a crop's.
        long_side: maximal length of the longer side of a scaled image; a longer image is scaled less. 0 takes 1.5
            times the longest of ``short_sides``.
        pool: "max" rounds a region's first and last pixel to map cells and takes the maximum of each bin; "align"
            does not round and takes the mean of bilinear samples (RoIAlign of Mask R-CNN).
        origin: centre of the map's first cell: "network" takes its true position, "zero" takes pixel 0, as the paper's
            code does for every network.
        wider: factor on width and height for a second, wider window of each region around the same centre; more than 1,
            or 0 for no second window. Its features are appended to those of the region, in fine-tuning, too.
            It doubles what runs on a region, and the image may be convolved at more scales.

    Raises:
        ConfigError: if ``long_side`` is less than the longest of ``short_sides``, or ``wider`` is above 0 and at most
            1.

    Example:
        >>> import numpy as np
        >>> from detkit.backbones.tiny import TinyNet
        >>> from detkit.regions.network import RegionNetwork
        >>> from detkit.structures import Boxes
        >>> from detkit.system.compute import Compute
        >>> net = TinyNet(width=8, fc_dim=16)
        >>> extractor = RoIPool(input_size=net.input_size, short_sides=(120,))
        >>> network = RegionNetwork(net, extractor, compute=Compute.resolve(device="cpu"), batch=8)
        >>> image, boxes = np.zeros((120, 160, 3), np.uint8), Boxes.of([[40, 30, 110, 90], [0, 0, 50, 50]])
        >>> tuple(network.of_image(image, boxes, ["fc7"])["fc7"].shape)
        (2, 16)
    """

    def __init__(
        self,
        *,
        input_size: int,
        short_sides: tuple[Annotated[int, Positive], ...] = (600,),
        long_side: Annotated[int, NonNegative] = 1000,
        pool: Literal["max", "align"] = "max",
        origin: Literal["network", "zero"] = "network",
        wider: Annotated[float, NonNegative] = 0.0,
    ) -> None:
        super().__init__(input_size, short_sides, long_side, wider)
        self.pool = pool
        self.origin = origin

    def placed(self, areas: np.ndarray, stretch: np.ndarray) -> np.ndarray:
        """(n, 4): first and last pixel of each region in the scaled image, counted from 0; with "align" its edges."""
        return (areas - (np.array([0, 0, 1, 1]) if self.pool == "max" else 0)) * stretch

    def pooled(self, backbone: Backbone, maps: Tensor, areas: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """The named layers, each (n, D), behind the network's last pooling."""
        first_cell = backbone.map_origin - 0.5 if self.origin == "network" else 0.0
        if self.pool == "max":
            regions = torch.cat([areas[:, :1], areas[:, 1:] - first_cell], 1)
            pooled = roi_max_pool(maps, regions, backbone.pool_size, backbone.stride)
        else:
            # The core takes cell i to be centred at stride * (i + 1/2) of continuous coordinates.
            shift = first_cell + 0.5 - backbone.stride / 2
            regions = torch.cat([areas[:, :1], areas[:, 1:] - shift], 1)
            pooled = roi_align(maps, regions, backbone.pool_size, stride=backbone.stride, sampling_ratio=2)
        return backbone.after_pool(pooled, layers)


def roi_max_pool(maps: Tensor, regions: Tensor, size: tuple[int, int], stride: int) -> Tensor:
    """(N, C, *size) maxima of each region's bins. Differentiable in the maps: the first maximum gets the gradient.

    Both ends of a region are rounded to cells, halves away from zero; both cells belong to it. On an axis of L cells,
    bin i of n holds the cells from floor(i L / n) to ceil((i + 1) L / n), exclusive. A bin outside the map is 0.

    Args:
        maps: (B, C, h, w).
        regions: (N, 5) float32: number of the map, then the first and last pixel as x1, y1, x2, y2; cell i is on pixel
            stride * i.
        size: bins in y and x.
        stride: pixels of a cell.
    """
    # torchvision's kernel, which rounds and bins as ROIPoolingLayer does, has no bfloat16.
    pooled: Tensor = torchvision.ops.roi_pool(maps.float(), regions, size, spatial_scale=1 / stride)
    return pooled.to(maps.dtype)
