"""Regions pooled from maps of the whole image at one scale or several."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from detkit.backbones.base import Backbone, LayerSpec
from detkit.errors import ConfigError
from detkit.regions.base import RegionExtractor, RegionInputs, RegionView
from detkit.regions.passes import device_of, in_passes, no_rows
from detkit.regions.windows import RegionWindows
from detkit.structures import Boxes
from detkit.system.memory import FreedMemory


class ScaledMaps(RegionExtractor):
    """Convolves the image once at each scale that its regions use, and pools every region from the map of one scale.

    ``nearest`` chooses the scale of a region. With several scales, training computes each map a second time for its
    gradient, so that memory holds the layers of only one map at a time.

    Args:
        input_size: the backbone's crop side.
        short_sides: lengths to which the shorter side of the image is scaled.
        long_side: maximal length of the longer side of a scaled image; a longer image is scaled less. 0 takes 1.5 times
            the longest of ``short_sides``.
        wider: factor on width and height of a second window of each region; 0 for no second window.

    Raises:
        ConfigError: if ``long_side`` is less than the longest of ``short_sides``, or ``wider`` is above 0 and at most
            1.
    """

    per_image = True
    hands_over_images = True

    def __init__(self, input_size: int, short_sides: Sequence[int], long_side: int, wider: float = 0.0) -> None:
        longest = max(short_sides)
        if long_side and long_side < longest:
            raise ConfigError(
                f"REGION_EXTRACTOR.{type(self).__name__}.LONG_SIDE: {long_side} is less than {longest} of SHORT_SIDES; "
                f"allowed: {longest} or more, or 0"
            )
        self.input_size = input_size
        self.short_sides = tuple(short_sides)
        self.long_side = long_side or round(1.5 * longest)
        self.windows = RegionWindows(wider, extractor=type(self))
        self._freed = FreedMemory()

    def describe(self, layers: Mapping[str, LayerSpec]) -> Mapping[str, LayerSpec]:
        """The backbone's shapes, with twice the channels if there is a wider window."""
        return self.windows.describe(layers)

    def areas(self, boxes: np.ndarray) -> np.ndarray:
        """(n, 4) float64: the part of the image that each of n regions is pooled from; here the region itself."""
        return boxes

    def nearest(self, areas: np.ndarray, size: np.ndarray, scaled: np.ndarray) -> np.ndarray:
        """(n,) int64, the scale of each area: the scale at which its number of pixels is nearest to a crop's.

        Args:
            areas: (n, 4) float64 in pixels of the image.
            size: (2,) float64, width and height of the image.
            scaled: (S, 2) float64, width and height of the image at each scale.
        """
        pixels = np.outer((areas[:, 2:] - areas[:, :2]).prod(1), (scaled / size).prod(1))
        scale: np.ndarray = np.abs(pixels - self.input_size**2).argmin(1)
        return scale

    def stretch(self, size: np.ndarray, scaled: np.ndarray) -> np.ndarray:
        """(S, 2): length in each scaled image per pixel of the image; arguments as for ``nearest``."""
        return scaled / size

    def placed(self, areas: np.ndarray, stretch: np.ndarray) -> np.ndarray:
        """(n, 4): the areas in the scaled image; ``stretch`` (n, 4) is its length per pixel, in the order x y x y."""
        return areas * stretch

    @abstractmethod
    def pooled(self, backbone: Backbone, maps: Tensor, areas: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """The named layers, each (n, D), of areas pooled from maps of one scale. Differentiable in the maps.

        Args:
            backbone: runs the layers after the maps.
            maps: (B, C, h, w).
            areas: (n, 5) float32: number of the map, then the four columns of ``placed``.
            layers: names from ``backbone.layers``.
        """

    def prepare(self, image: np.ndarray, boxes: Boxes, flips: np.ndarray) -> RegionInputs:
        """The image at each scale that a region uses, and the place of each region in it.

        Returns:
            ``scale`` (n,) int64, position in ``short_sides`` of each region's scale; ``image<s>`` (h, w, 3) uint8, the
            image at each of these scales; ``areas`` (n, 4) float32 in the scaled image, or in its mirror image for a
            mirrored region; ``flips`` (n,) bool. With wider windows there are 2 n of each, as ``RegionWindows`` orders
            them.
        """
        boxes, flips = self.windows.of(boxes, flips)
        height, width = image.shape[:2]
        scales = [min(short / min(height, width), self.long_side / max(height, width)) for short in self.short_sides]
        sizes = [(max(1, round(width * scale)), max(1, round(height * scale))) for scale in scales]
        size, scaled = np.array([width, height], np.float64), np.array(sizes, np.float64)
        areas, flips = self.areas(boxes.numpy().astype(np.float64)), np.asarray(flips, bool)
        areas[flips, ::2] = width - areas[flips, 2::-2]
        scale = self.nearest(areas, size, scaled)
        images = {
            f"image{s}": cv2.resize(image, sizes[s], interpolation=cv2.INTER_LINEAR) for s in np.unique(scale).tolist()
        }
        placed = self.placed(areas, np.tile(self.stretch(size, scaled)[scale], 2)).astype(np.float32)
        return {"scale": scale, **images, "areas": placed, "flips": flips}

    def view(self, image: np.ndarray, box: Boxes) -> RegionView:
        """The image at the scale of the region."""
        prepared = self.prepare(image, box, np.zeros(1, bool))
        pixels = prepared[f"image{prepared['scale'][0]}"]
        window = np.array([0, 0, image.shape[1], image.shape[0]])
        return RegionView(pixels, prepared["areas"][0], window, is_crop=False)

    def forward(
        self, backbone: Backbone, inputs: Sequence[RegionInputs], layers: Sequence[str], pad_to: int = 0
    ) -> dict[str, Tensor]:
        """The named layers, each (N, D), of the regions of all images, in order. Differentiable.

        At each scale an image is convolved once as it is, once mirrored, or both, as its regions need.
        """
        self._freed.bound()
        filled = [i for i in inputs if len(i["areas"])]
        if not filled:
            return self.windows.join(no_rows(backbone, layers), [])
        parts = [self._one_image(backbone, i, layers, pad_to) for i in filled]
        found = {name: torch.cat([p[name] for p in parts]) for name in layers}
        return self.windows.join(found, [len(i["areas"]) for i in filled])

    def _one_image(
        self, backbone: Backbone, prepared: RegionInputs, layers: Sequence[str], pad_to: int
    ) -> dict[str, Tensor]:
        scale = prepared["scale"]
        rows = [np.flatnonzero(scale == s) for s in np.unique(scale)]
        parts = []
        for own in rows:
            maps, which = self._maps(backbone, prepared[f"image{scale[own[0]]}"], prepared["flips"][own])
            areas = torch.from_numpy(np.column_stack([which, prepared["areas"][own]]).astype(np.float32))

            def run(some: Tensor, maps: Tensor = maps) -> dict[str, Tensor]:
                return self.pooled(backbone, maps, some, layers)

            parts.append(in_passes(run, [areas.to(maps.device)], pad_to))
        back = torch.from_numpy(np.argsort(np.concatenate(rows)))
        return {name: torch.cat([p[name] for p in parts])[back.to(parts[0][name].device)] for name in layers}

    def _maps(self, backbone: Backbone, scaled: np.ndarray, flips: np.ndarray) -> tuple[Tensor, np.ndarray]:
        """The maps of the image, of its mirror image or of both, and (n,) which of them each region is pooled from."""
        pixels = torch.from_numpy(scaled).to(device_of(backbone))[None]
        image = backbone.preprocessing.without_position()(pixels).contiguous(memory_format=torch.channels_last)
        mirrored, which = np.unique(flips, return_inverse=True)
        views = torch.cat([image.flip(-1) if m else image for m in mirrored]) if mirrored.any() else image
        # A narrow image is filled up with the mean to the side of a crop, below which some networks have no map, and
        # any image to sides for which the map's origin is known.
        whole = backbone.fills_to
        missing = [-(-max(side, backbone.input_size) // whole) * whole - side for side in views.shape[2:]]
        views = F.pad(views, (0, missing[1], 0, missing[0]))
        if torch.is_grad_enabled() and len(self.short_sides) > 1:
            return checkpoint(backbone.map, views, use_reentrant=False), which
        return backbone.map(views), which
