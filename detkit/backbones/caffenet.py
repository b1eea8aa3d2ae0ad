"""The network of R-CNN, and Krizhevsky's as Caffe released it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from torch import Tensor, nn
from torch.nn import functional as F

from detkit.backbones.base import Backbone, LayerSpec
from detkit.backbones.lrn import local_response_norm
from detkit.backbones.preprocessing import Preprocessing
from detkit.backbones.pyramid import pool5_shape, pyramid_pool
from detkit.config.ranges import Fraction, Positive
from detkit.errors import ConfigError
from detkit.registry import BACKBONES

SMALLEST_INPUT = 55
"""Side of the crop whose last map has 3 x 3 cells, one window of pool5."""


class _GroupedAlexNet(Backbone):
    """Five convolutions, of which the second, fourth and fifth have two groups, and two fully connected layers.

    fc6 takes what pool5 gives: 256 x 6 x 6 numbers at 227 px, 256 x 3 x 3 at 115 px.
    Source: Caffe's models bvlc_reference_caffenet and bvlc_alexnet (shapes, initialisers).
    """

    norm_first: ClassVar[bool]
    bias: ClassVar[float]

    def __init__(
        self,
        *,
        input_size: Annotated[int, Positive] = 227,
        init: Literal["published", "he"] = "published",
        dropout: Annotated[float, Fraction] = 0.5,
        levels: tuple[Annotated[int, Positive], ...] = (),
    ) -> None:
        super().__init__()
        if input_size < SMALLEST_INPUT:
            raise ConfigError(
                f"BACKBONE.{type(self).__name__}.INPUT_SIZE: {input_size} is too small; "
                f"allowed: {SMALLEST_INPUT} or more, 227 for the published weights"
            )
        side = _pooled(_pooled((input_size - 11) // 4 + 1))
        pool5 = pool5_shape(256, _pooled(side), levels)
        self.input_size = input_size
        self.stride = 16
        self.map_origin = 17.5
        self.map_size = (side, side)
        self.map_channels = 256
        self.layers = {"pool5": pool5, "fc6": LayerSpec((4096,)), "fc7": LayerSpec((4096,))}
        self.preprocessing = Preprocessing.of("BGR", 1.0, (104.007, 116.669, 122.679), (1, 1, 1))
        self.levels = tuple(levels)
        self.dropout = dropout
        self.conv1 = nn.Conv2d(3, 96, 11, stride=4)
        self.conv2 = nn.Conv2d(96, 256, 5, padding=2, groups=2)
        self.conv3 = nn.Conv2d(256, 384, 3, padding=1)
        self.conv4 = nn.Conv2d(384, 384, 3, padding=1, groups=2)
        self.conv5 = nn.Conv2d(384, 256, 3, padding=1, groups=2)
        self.fc6 = nn.Linear(pool5.dim, 4096)
        self.fc7 = nn.Linear(4096, 4096)
        self._initialise(init)

    def map(self, images: Tensor) -> Tensor:
        """(B, 256, h, w) after conv5's ReLU; 13 x 13 for a crop of 227 px."""
        x = self._norm_and_pool(_relu(self.conv1(images)))
        x = self._norm_and_pool(_relu(self.conv2(x)))
        x = _relu(self.conv3(x))
        x = _relu(self.conv4(x))
        return _relu(self.conv5(x))

    def pool(self, maps: Tensor) -> Tensor:
        """(N, 256, h, w): the pyramid, or 6 x 6 maxima for a crop of 227 px."""
        return pyramid_pool(maps, self.levels) if self.levels else _pool(maps)

    def after_pool(self, pooled: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """``pool5`` (order C, H, W; 9216 at 227 px), ``fc6`` and ``fc7`` after ReLU and, in train mode, dropout."""
        out = {"pool5": pooled.flatten(1)}
        if "fc6" in layers or "fc7" in layers:
            out["fc6"] = F.dropout(_relu(self.fc6(out["pool5"])), self.dropout, self.training)
        if "fc7" in layers:
            out["fc7"] = F.dropout(_relu(self.fc7(out["fc6"])), self.dropout, self.training)
        return {name: out[name] for name in layers}

    def _norm_and_pool(self, x: Tensor) -> Tensor:
        return _pool(local_response_norm(x)) if self.norm_first else local_response_norm(_pool(x))

    def _initialise(self, init: str) -> None:
        for name, layer in self.named_children():
            assert isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None
            if init == "he":
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
                nn.init.zeros_(layer.bias)
            else:
                nn.init.normal_(layer.weight, std=0.005 if name.startswith("fc") else 0.01)
                nn.init.constant_(layer.bias, 0.0 if name in ("conv1", "conv3") else self.bias)


@BACKBONES.register()
class CaffeNet(_GroupedAlexNet):
    """The network of the R-CNN paper: pooling before normalisation, 227 px crops.

    Args:
        input_size: side of the crop in pixels; at least 55, so that pool5 has a whole window.
        init: first weights: "published" draws Caffe's Gaussians and sets the biases of conv2, conv4, conv5, fc6 and
            fc7 to 1; "he" scales the Gaussians to the fan-in and sets all biases to 0.
        dropout: share of fc6 and fc7 that is dropped in train mode.
        levels: bins on a side of each level of a pyramid of maxima that replaces pool5; empty keeps the network's own
            pooling. One level of 6 equals it at 227 px. With other levels, fc6 is a new layer.

    Example:
        >>> import torch
        >>> with torch.device("meta"):  # without numbers, so at once
        ...     net = CaffeNet()
        >>> net.layers["pool5"].shape, net.layers["fc7"].shape
        ((256, 6, 6), (4096,))
    """

    norm_first = False
    bias = 1.0


@BACKBONES.register()
class AlexNet(_GroupedAlexNet):
    """Krizhevsky's network as Caffe trained it: normalisation before pooling, 227 px crops.

    Args:
        input_size: side of the crop in pixels; at least 55, so that pool5 has a whole window.
        init: first weights: "published" draws Caffe's Gaussians and sets the biases of conv2, conv4, conv5, fc6 and
            fc7 to 0.1; "he" scales the Gaussians to the fan-in and sets all biases to 0.
        dropout: share of fc6 and fc7 that is dropped in train mode.
        levels: bins on a side of each level of a pyramid of maxima that replaces pool5; empty keeps the network's own
            pooling. One level of 6 equals it at 227 px. With other levels, fc6 is a new layer.

    Example:
        >>> import torch
        >>> with torch.device("meta"):  # without numbers, so at once
        ...     net = AlexNet()
        >>> net.layers["pool5"].shape, net.layers["fc7"].shape
        ((256, 6, 6), (4096,))
    """

    norm_first = True
    bias = 0.1


def _relu(x: Tensor) -> Tensor:
    """In place: no layer needs its own output for the gradient."""
    return F.relu(x, inplace=True)


def _pool(x: Tensor) -> Tensor:
    """Caffe's overlapping maximum, which rounds the size of its output up."""
    return F.max_pool2d(x, 3, stride=2, ceil_mode=True)


def _pooled(side: int) -> int:
    """The side of what ``_pool`` gives, for a side of at least 3."""
    return -(-(side - 3) // 2) + 1
