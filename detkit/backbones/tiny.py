"""A network small enough to be trained in seconds on two cores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from torch import Tensor, nn
from torch.nn import functional as F

from detkit.backbones.base import Backbone, LayerSpec
from detkit.backbones.preprocessing import Preprocessing
from detkit.backbones.pyramid import pool5_shape, pyramid_pool
from detkit.config.ranges import Fraction, Positive
from detkit.errors import ConfigError
from detkit.registry import BACKBONES


@BACKBONES.register()
class TinyNet(Backbone):
    """A tiny network for drawn scenes and tests: four convolutions with a pooling after the second, then fc6 and fc7.

    Args:
        input_size: side of the crop in pixels; at least 8.
        width: channels of the last map; the first convolution has half as many.
        fc_dim: length of fc6 and fc7.
        dropout: share of fc6 and fc7 that is dropped in train mode.
        levels: bins on a side of each level of a pyramid of maxima that replaces pool5; empty pools 2 x 2 cells.

    Example:
        >>> import torch
        >>> net = TinyNet(width=8, fc_dim=16)
        >>> {name: tuple(features.shape) for name, features in net(torch.zeros(2, 3, 48, 48), ["pool5", "fc7"]).items()}
        {'pool5': (2, 288), 'fc7': (2, 16)}
    """

    def __init__(
        self,
        *,
        input_size: Annotated[int, Positive] = 48,
        width: Annotated[int, Positive] = 32,
        fc_dim: Annotated[int, Positive] = 256,
        dropout: Annotated[float, Fraction] = 0.0,
        levels: tuple[Annotated[int, Positive], ...] = (),
    ) -> None:
        super().__init__()
        if input_size < 8:
            raise ConfigError(f"BACKBONE.TinyNet.INPUT_SIZE: {input_size} is too small; allowed: 8 or more")
        side = -(-input_size // 4)
        self.input_size = input_size
        self.stride = 4
        self.map_origin = 0.5
        self.map_size = (side, side)
        self.map_channels = width
        self.levels = tuple(levels)
        self.dropout = dropout
        self.preprocessing = Preprocessing.of("RGB", 1 / 255, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
        first = (width + 1) // 2
        self.conv1 = nn.Conv2d(3, first, 5, stride=2, padding=2)
        self.conv2 = nn.Conv2d(first, width, 3, padding=1)
        self.conv3 = nn.Conv2d(width, width, 3, padding=1)
        self.conv4 = nn.Conv2d(width, width, 3, padding=1)
        pool5 = pool5_shape(width, side // 2, levels)
        self.fc6 = nn.Linear(pool5.dim, fc_dim)
        self.fc7 = nn.Linear(fc_dim, fc_dim)
        self.layers = {"pool5": pool5, "fc6": LayerSpec((fc_dim,)), "fc7": LayerSpec((fc_dim,))}
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4, self.fc6, self.fc7):
            assert layer.bias is not None
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)

    def map(self, images: Tensor) -> Tensor:
        """(B, width, h / 4, w / 4), sizes rounded up."""
        x = F.relu(self.conv2(F.relu(self.conv1(images))))
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        return F.relu(self.conv4(F.relu(self.conv3(x))))

    def pool(self, maps: Tensor) -> Tensor:
        """The pyramid, or the maximum of 2 x 2 cells."""
        return pyramid_pool(maps, self.levels) if self.levels else F.max_pool2d(maps, 2)

    def after_pool(self, pooled: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """``pool5``, ``fc6`` and ``fc7`` after ReLU and, in train mode, dropout."""
        out = {"pool5": pooled.flatten(1)}
        if "fc6" in layers or "fc7" in layers:
            out["fc6"] = F.dropout(F.relu(self.fc6(out["pool5"])), self.dropout, self.training)
        if "fc7" in layers:
            out["fc7"] = F.dropout(F.relu(self.fc7(out["fc6"])), self.dropout, self.training)
        return {name: out[name] for name in layers}
