"""Regions pooled from one map of the whole image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
import torch
from torch import Tensor

from detkit.backbones.base import Backbone
from detkit.config.ranges import NonNegative, Positive
from detkit.regions.base import padding_of
from detkit.regions.roi_align import roi_align
from detkit.regions.scaled_maps import ScaledMaps
from detkit.registry import REGION_EXTRACTORS

SCALES = tuple(0.8 * 1.5**i for i in range(5))
"""Shorter sides of an image in sides of a crop. SPP-net's five, of 2.1 to 5.4, leave objects as large as the image
far above a crop's size."""


@REGION_EXTRACTORS.register()
class SharedMap(ScaledMaps):
    """Convolves the whole image, pools each region to the size of a crop's map, and runs the remaining layers on it.

    The bins of a pooled map are centred where the cells of a warped crop's map are. A region that fills its crop
    unscaled therefore gets the same map as with ``WarpedCrops``, except near the crop's border. Outside the image the
    map is zero.

    Args:
        input_size: the backbone's crop side.
        padding: context on each side of the region, in pixels of a crop of ``input_size``; null takes the paper's share
            of the crop, 16 of 227.
        short_sides: lengths in pixels to which the shorter side of the image is scaled. A region uses the scale at
            which its number of pixels, with context, is nearest to a crop's; the image is convolved once at each scale
            in use. Empty takes five lengths from 0.8 to 4 times the side of a crop. A single one, such as 600, is
            fastest.
        long_side: maximal length of the longer side of a scaled image; a longer image is scaled less. 0 takes 1.5 times
            the longest of ``short_sides``.
        sampling_ratio: sampling points of a bin in each direction; 0 takes one for each map cell that the bin covers.
        wider: factor on width and height for a second, wider window of each region around the same centre; more than 1,
            or 0 for no second window. Its features are appended to those of the region, in fine-tuning, too.
            It doubles what runs on a region, and the image may be convolved at more scales.

    Raises:
        ConfigError: if the padding leaves no pixel for the region, ``long_side`` is less than the longest of
            ``short_sides``, or ``wider`` is above 0 and at most 1.

    Source: SPP-net, section 4.1 (scale of a region); RoIAlign of Mask R-CNN, section 3.

    Example:
        >>> import numpy as np
        >>> from detkit.backbones.tiny import TinyNet
        >>> from detkit.regions.network import RegionNetwork
        >>> from detkit.structures import Boxes
        >>> from detkit.system.compute import Compute
        >>> net = TinyNet(width=8, fc_dim=16)
        >>> extractor = SharedMap(input_size=net.input_size, short_sides=(120,))
        >>> network = RegionNetwork(net, extractor, compute=Compute.resolve(device="cpu"), batch=8)
        >>> image, boxes = np.zeros((120, 160, 3), np.uint8), Boxes.of([[40, 30, 110, 90], [0, 0, 50, 50]])
        >>> tuple(network.of_image(image, boxes, ["fc7"])["fc7"].shape)
        (2, 16)
    """

    version: ClassVar[int] = 2

    def __init__(
        self,
        *,
        input_size: int,
        padding: Annotated[int, NonNegative] | None = None,
        short_sides: tuple[Annotated[int, Positive], ...] = (),
        long_side: Annotated[int, NonNegative] = 0,
        sampling_ratio: Annotated[int, NonNegative] = 0,
        wider: Annotated[float, NonNegative] = 0.0,
    ) -> None:
        sides = short_sides or tuple(round(input_size * scale) for scale in SCALES)
        super().__init__(input_size, sides, long_side, wider)
        self.padding = padding_of(type(self), padding, input_size)
        self.sampling_ratio = sampling_ratio

    def areas(self, boxes: np.ndarray) -> np.ndarray:
        """(n, 4) float64: the regions with their context."""
        half = (boxes[:, 2:] - boxes[:, :2]) / 2
        centre, reach = boxes[:, :2] + half, half * (self.input_size / (self.input_size - 2 * self.padding))
        return np.hstack([centre - reach, centre + reach])

    def pooled(self, backbone: Backbone, maps: Tensor, areas: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """The named layers, each (n, D). A layer that averages the map gets a smaller pooled map than the others."""
        areas = torch.cat([areas[:, :1], _bin_area(backbone, areas[:, 1:])], 1)
        found: dict[str, Tensor] = {}
        for cells, own in _layers_by_cells(backbone, layers).items():
            pooled = roi_align(
                maps,
                areas,
                backbone.map_size,
                stride=backbone.stride,
                sampling_ratio=self.sampling_ratio,
                cells=cells,
            )
            found |= backbone.advance(pooled, own)
        return found


def _layers_by_cells(backbone: Backbone, layers: Sequence[str]) -> dict[int, list[str]]:
    """{cells on a side into which they average the map: layers}; 0 for layers that need the whole map of a crop.

    Averaging is linear, so it can be done while pooling, which then makes 3 x 3 cells, say, instead of 13 x 13 bins.
    """
    by_cells: dict[int, list[str]] = {}
    for name in layers:
        channels, *grid = backbone.layers[name].shape
        is_average = backbone.takes_any_map and channels == backbone.map_channels and len(set(grid)) <= 1
        by_cells.setdefault([*grid, 1][0] if is_average else 0, []).append(name)
    return by_cells


def _bin_area(backbone: Backbone, windows: Tensor) -> Tensor:
    """(n, 4) areas whose equal bins are centred where a crop of each window has its map cells.

    In a crop of side S, cell i is centred at origin + stride * i. RoIAlign takes cell i of the image's map to be
    centred at stride * (i + 1/2), so the area is moved by the difference to where it really is. The origin of a crop
    may be another than that of the image.
    """
    shift = backbone.map_origin - backbone.stride / 2
    height, width = backbone.map_size
    low = (backbone.origin_of(backbone.input_size) - backbone.stride / 2) / backbone.input_size
    side = torch.tensor([width, height], device=windows.device) * backbone.stride / backbone.input_size
    corner, extent = windows[:, :2], windows[:, 2:] - windows[:, :2]
    start = corner + low * extent
    return torch.cat([start, start + side * extent], 1) - shift
