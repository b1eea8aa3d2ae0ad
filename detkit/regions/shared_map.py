"""Regions pooled from one map of the whole image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from detkit.backbones.base import Backbone
from detkit.config.ranges import NonNegative, Positive
from detkit.errors import ConfigError
from detkit.regions.base import RegionExtractor, RegionInputs, padding_of
from detkit.regions.passes import device_of, in_passes, no_rows
from detkit.regions.roi_align import roi_align
from detkit.registry import REGION_EXTRACTORS
from detkit.structures import Boxes

SCALES = tuple(0.8 * 1.5**i for i in range(5))
"""Shorter sides of an image in sides of a crop. SPP-net's five, of 2.1 to 5.4, leave objects as large as the image
far above a crop's size."""


@REGION_EXTRACTORS.register()
class SharedMap(RegionExtractor):
    """Convolves the image, pools each region to the map of a crop and runs the remaining layers on it.

    The bins of the pooled map stand where the cells of the map of a warped crop stand, so a region that fills its crop
    unscaled gets the same map either way wherever the crop's border does not reach. Beyond the image there is zero.

    Args:
        input_size: the backbone's crop side.
        padding: context on each side of the region, in pixels of a crop of ``input_size``; null takes the paper's share
            of the crop, 16 of 227.
        short_sides: lengths to which the shorter side of the image is scaled. The image is convolved once in each scale
            that a region takes: the one in which the region with its context has nearest to a crop's number of pixels.
            Empty takes five from 0.8 to 4 sides of a crop; one alone, such as 600, takes the least time.
        long_side: length that the longer side may not exceed; such an image is scaled less. 0 takes one and a half
            times the longest of ``short_sides``.
        sampling_ratio: sampling points of a bin in each direction; 0 takes one for each map cell that it covers.

    Source: SPP-net, section 4.1 (which scale a region takes); RoIAlign of Mask R-CNN, section 3.
    """

    per_image = True
    hands_over_images = True

    def __init__(
        self,
        *,
        input_size: int,
        padding: Annotated[int, NonNegative] | None = None,
        short_sides: tuple[Annotated[int, Positive], ...] = (),
        long_side: Annotated[int, NonNegative] = 0,
        sampling_ratio: Annotated[int, NonNegative] = 0,
    ) -> None:
        sides = tuple(short_sides) or tuple(round(input_size * scale) for scale in SCALES)
        if long_side and long_side < max(sides):
            raise ConfigError(
                f"REGION_EXTRACTOR.SharedMap.LONG_SIDE: {long_side} is less than {max(sides)} of SHORT_SIDES; "
                f"allowed: {max(sides)} or more, or 0"
            )
        self.input_size = input_size
        self.padding = padding_of(type(self), padding, input_size)
        self.short_sides = sides
        self.long_side = long_side or round(1.5 * max(sides))
        self.sampling_ratio = sampling_ratio

    def prepare(self, image: np.ndarray, boxes: Boxes, flips: np.ndarray) -> RegionInputs:
        """What the scales of all regions need.

        Returns:
            ``scale`` (n,) int64, which of ``short_sides`` each region takes; ``image<s>`` (h, w, 3) uint8, the image in
            each of these scales; ``windows`` (n, 4) float32, regions with context in their scale; ``flips`` (n,) bool.
        """
        height, width = image.shape[:2]
        scales = [min(short / min(height, width), self.long_side / max(height, width)) for short in self.short_sides]
        sizes = [(max(1, round(width * scale)), max(1, round(height * scale))) for scale in scales]
        stretch = np.array([[size[0] / width, size[1] / height] * 2 for size in sizes])
        box = boxes.numpy().astype(np.float64)
        half = (box[:, 2:] - box[:, :2]) / 2
        centre, reach = box[:, :2] + half, half * (self.input_size / (self.input_size - 2 * self.padding))
        pixels = np.outer(4 * reach.prod(1), stretch[:, 0] * stretch[:, 1])
        scale = np.abs(pixels - self.input_size**2).argmin(1)
        images = {
            f"image{s}": cv2.resize(image, sizes[s], interpolation=cv2.INTER_LINEAR) for s in np.unique(scale).tolist()
        }
        windows = np.hstack([centre - reach, centre + reach]) * stretch[scale]
        return {"scale": scale, **images, "windows": windows.astype(np.float32), "flips": np.asarray(flips, bool)}

    def forward(
        self, backbone: Backbone, inputs: Sequence[RegionInputs], layers: Sequence[str], pad_to: int = 0
    ) -> dict[str, Tensor]:
        """Each image is convolved once in each scale, and once more mirrored where any region there is mirrored."""
        parts = [self._one_image(backbone, i, layers, pad_to) for i in inputs if len(i["windows"])]
        if not parts:
            return no_rows(backbone, layers)
        return {name: torch.cat([p[name] for p in parts]) for name in layers}

    def _one_image(
        self, backbone: Backbone, prepared: RegionInputs, layers: Sequence[str], pad_to: int
    ) -> dict[str, Tensor]:
        scale = prepared["scale"]
        rows = [np.flatnonzero(scale == s) for s in np.unique(scale)]
        parts = [
            self._one_scale(
                backbone,
                prepared[f"image{scale[own[0]]}"],
                torch.from_numpy(prepared["windows"][own]),
                torch.from_numpy(prepared["flips"][own]),
                layers,
                pad_to,
            )
            for own in rows
        ]
        back = torch.from_numpy(np.argsort(np.concatenate(rows)))
        return {name: torch.cat([p[name] for p in parts])[back.to(parts[0][name].device)] for name in layers}

    def _one_scale(
        self,
        backbone: Backbone,
        scaled: np.ndarray,
        windows: Tensor,
        flips: Tensor,
        layers: Sequence[str],
        pad_to: int,
    ) -> dict[str, Tensor]:
        pixels = torch.from_numpy(scaled).to(device_of(backbone))[None]
        image = backbone.preprocessing.without_position()(pixels).contiguous(memory_format=torch.channels_last)
        windows = torch.where(flips[:, None], Boxes(windows).flip(image.shape[-1]).tensor, windows)
        rois = torch.cat([flips[:, None].float(), _bin_area(backbone, windows)], 1).to(image.device)
        views = torch.cat([image, image.flip(-1)]) if bool(flips.any()) else image
        # A narrow image is filled up with the mean to the side of a crop, below which some networks have no map.
        missing = [max(0, backbone.input_size - side) for side in views.shape[2:]]
        maps = backbone.map(F.pad(views, (0, missing[1], 0, missing[0])))

        def run(rows: Tensor) -> dict[str, Tensor]:
            found: dict[str, Tensor] = {}
            for cells, own in _layers_by_cells(backbone, layers).items():
                pooled = roi_align(
                    maps,
                    rows,
                    backbone.map_size,
                    stride=backbone.stride,
                    sampling_ratio=self.sampling_ratio,
                    cells=cells,
                )
                found |= backbone.advance(pooled, own)
            return found

        return in_passes(run, [rois], pad_to)


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
    centred at stride * (i + 1/2), so the area is moved by the difference to where it really is.
    """
    shift = backbone.map_origin - backbone.stride / 2
    height, width = backbone.map_size
    low = shift / backbone.input_size
    side = torch.tensor([width, height]) * backbone.stride / backbone.input_size
    corner, extent = windows[:, :2], windows[:, 2:] - windows[:, :2]
    start = corner + low * extent
    return torch.cat([start, start + side * extent], 1) - shift
