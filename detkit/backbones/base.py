"""What every backbone gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from detkit.backbones.preprocessing import Preprocessing


@dataclass(frozen=True)
class LayerSpec:
    """The shape of one named layer's output for one crop, batch dimension left out: (C, H, W) or (D,)."""

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

    ``advance`` is the last two in turn and ``forward`` on crops is ``advance(map(crops))``, so warped crops, shared
    maps and regions that were pooled in another way run through the same layers.
    Train or eval mode is the caller's; BatchNorm statistics stay frozen in either.

    Attributes:
        input_size: side of the square crop in pixels.
        stride: input pixels per map cell.
        map_origin: pixel coordinate, x and y alike, on which the first cell of an image's map is centred; of a crop's
            map, which may be another, ``origin_of`` tells.
        fills_to: images are filled up to multiples of so many pixels, since the padding of some networks, and with it
            the map's origin, depends on the image's size; 1 for networks that pad all images alike.
        map_size: (height, width) of the map of one crop.
        map_channels: channels of the map.
        levels: bins on a side of each level of the pyramid of maxima that ``pool`` makes of maps of any size; empty
            where the network keeps its own pooling.
        takes_any_map: whether the network pools nothing and ``after_pool`` averages maps of any size.
        layers: the named layers in forward order; the first is what ``pool`` gives, or, where maps of any size are
            averaged, their average in a grid; the last one carries the fine-tuning head.
        preprocessing: how pixels become input; replaced by that of the weights when weights are loaded.
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
        """(N, C, h, w): the network's own pooling of maps of the size ``map_size``; the maps where it has none."""
        return maps

    @abstractmethod
    def after_pool(self, pooled: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """The named layers, each (N, D), of regions that are pooled already. Differentiable.

        Args:
            pooled: (N, C, h, w) in place of what ``pool`` gives: of the size ``pool_size``, or of any where
                ``takes_any_map``.
            layers: names from ``layers``.
        """

    def advance(self, maps: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """The named layers, each (N, D), of maps (N, C, h, w) of the size ``map_size``. Differentiable."""
        return self.after_pool(self.pool(maps), layers)

    def forward(self, crops: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """The named layers, each (N, D), of preprocessed crops (N, 3, S, S). Differentiable."""
        return self.advance(self.map(crops), layers)

    def origin_of(self, side: int) -> float:
        """Pixel coordinate on which the first cell of the map of an image of that side is centred.

        Args:
            side: ``input_size``, or a multiple of ``fills_to``.
        """
        return self.map_origin

    @property
    def pool_size(self) -> tuple[int, int]:
        """(height, width) of the first layer, to which regions are pooled where this replaces the network's pooling."""
        _, height, width = next(iter(self.layers.values())).shape
        return height, width

    @property
    def last_layer(self) -> str:
        """The layer on which a classification head stands."""
        return list(self.layers)[-1]
