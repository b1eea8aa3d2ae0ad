"""The base class of backbones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from detkit.backbones.preprocessing import Preprocessing


@dataclass(frozen=True)
class LayerSpec:
    """The shape of a named layer's output for one crop, without the batch dimension: (C, H, W) or (D,)."""

    shape: tuple[int, ...]

    @property
    def dim(self) -> int:
        """The length of the flattened output (order C, H, W)."""
        dim = 1
        for n in self.shape:
            dim *= n
        return dim


class Backbone(nn.Module, ABC):
    """A network in three parts: ``map`` (convolutions, any image size), ``pool`` (to one size) and ``after_pool``.

    ``advance`` runs ``pool`` and then ``after_pool``; ``forward`` returns ``advance(map(crops))``. Warped crops, shared
    maps and regions that another method pooled therefore run through the same layers.

    The caller sets train or eval mode. BatchNorms use their stored statistics in both.

    Attributes:
        input_size: side of the square crop in pixels.
        stride: input pixels per map cell.
        map_origin: pixel coordinate, the same in x and y, of the centre of the first cell of an image's map. A crop's
            map may have another one; ``origin_of`` returns it.
        fills_to: the sides of images are padded to multiples of this number of pixels; 1 does not pad. Some networks
            need it: their own padding, and so the origin of the map, depends on the size of the image.
        map_size: (height, width) of the map of one crop.
        map_channels: channels of the map.
        levels: bins on a side of each level of the pyramid of maxima to which ``pool`` reduces maps of any size; empty
            if the network keeps its own pooling.
        takes_any_map: whether ``pool`` changes nothing and ``after_pool`` averages maps of any size.
        layers: the named layers in forward order. The first is the output of ``pool``, or, with ``takes_any_map``, the
            map averaged to a grid. The last carries the head in fine-tuning.
        preprocessing: how pixels become input. Loading weights replaces it by the preprocessing of the weights.
    """

    input_size: int
    stride: int
    map_origin: float
    fills_to: int = 1
    map_size: tuple[int, int]
    map_channels: int
    levels: tuple[int, ...] = ()
    takes_any_map: bool = False
    layers: Mapping[str, LayerSpec]
    preprocessing: Preprocessing

    @abstractmethod
    def map(self, images: Tensor) -> Tensor:
        """(B, C, h, w) feature map of preprocessed images (B, 3, H, W)."""

    def pool(self, maps: Tensor) -> Tensor:
        """(N, C, h, w): maps of the size ``map_size`` after the network's own pooling; unchanged if it has none."""
        return maps

    @abstractmethod
    def after_pool(self, pooled: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """The named layers, each (N, D), of pooled regions. Differentiable.

        Args:
            pooled: (N, C, h, w), of the size ``pool_size``, or of any size with ``takes_any_map``.
            layers: names from ``layers``.
        """

    def advance(self, maps: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """The named layers, each (N, D), of maps (N, C, h, w) of the size ``map_size``. Differentiable."""
        return self.after_pool(self.pool(maps), layers)

    def forward(self, crops: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """The named layers, each (N, D), of preprocessed crops (N, 3, S, S). Differentiable."""
        return self.advance(self.map(crops), layers)

    def origin_of(self, side: int) -> float:
        """Pixel coordinate, the same in x and y, of the centre of the first cell of the map of a square image.

        Args:
            side: side of the image in pixels: ``input_size``, or a multiple of ``fills_to``.
        """
        return self.map_origin

    @property
    def pool_size(self) -> tuple[int, int]:
        """(height, width) of the first layer: the size to which an extractor pools regions in place of ``pool``."""
        _, height, width = next(iter(self.layers.values())).shape
        return height, width

    @property
    def last_layer(self) -> str:
        """Name of the last layer, which carries the classification head."""
        return list(self.layers)[-1]
