"""torchvision's image classifiers as backbones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from torch import Tensor, nn

from detkit.backbones.averaging import (
    FrozenNorms,
    average_layers,
    averages,
    last_of_stride,
    shape_after,
    through,
)
from detkit.backbones.base import LayerSpec
from detkit.backbones.preprocessing import Preprocessing
from detkit.backbones.pyramid import pool5_shape, pyramid_pool
from detkit.config.ranges import NonNegative, Positive
from detkit.errors import ConfigError
from detkit.registry import BACKBONES


@dataclass(frozen=True)
class _Net:
    """Facts about a network that its modules do not hold.

    Args:
        stride: input pixels per cell of the last map.
        origin: pixel coordinate of the centre of its first cell, from the kernels and paddings on the way.
        input_size: default side of a crop.
        has_fc: whether the network ends as AlexNet does: pool5, fc6, fc7, classifier.
    """

    stride: int
    origin: float
    input_size: int = 227
    has_fc: bool = False


_NETS = {
    "alexnet": _Net(16, 15.5, has_fc=True),
    "vgg16": _Net(16, 8.0, input_size=224, has_fc=True),
    "squeezenet1_0": _Net(16, 17.5),
    "squeezenet1_1": _Net(16, 15.5),
    "mobilenet_v2": _Net(32, 0.5),
    "resnet18": _Net(32, 0.5),
    "resnet50": _Net(32, 0.5),
}


@BACKBONES.register()
class TorchvisionBackbone(FrozenNorms):
    """A network of torchvision without its classifier. Tensors keep torchvision's names.

    AlexNet and VGG16 have the layers ``pool5``, ``fc6`` and ``fc7``. The latter two are taken after ReLU; dropout is
    where torchvision has it.

    The other networks have ``pool5``, the map averaged to a small grid, and ``final``, the global average of the last
    map. With a ``map_stride`` below the network's own stride, ``pool5`` comes from the earlier map, and the additional
    layer ``cells`` is the last map.

    BatchNorms use their stored statistics in train mode, too; their weights are trained.

    Args:
        arch: torchvision's name of the network.
        input_size: side of the crop in pixels; 0 takes 224 for vgg16 and 227 for the others.
        grid: cells on each side of ``pool5`` of a network without fully connected layers.
        map_stride: image pixels per cell of the map that regions are pooled from; 0 takes the last map. With a number
            below the network's own stride, the layers after that map run on the ``grid`` of each region, as fully
            connected layers do.
        levels: bins on a side of each level of a pyramid of maxima that replaces pool5; empty keeps the network's own
            pooling. Without fully connected layers, ``final`` is the mean of the pyramid. With them, fc6 is a new layer
            if the pyramid and the network's own pooling (6 x 6 of alexnet, 7 x 7 of vgg16) differ in length.

    Raises:
        ConfigError: if the crop is too small for the network, or the network has no map of ``map_stride``.

    Source of layers that run on each region: He et al., Deep residual learning (2016), appendix A. There, regions are
    pooled from the fourth stage, and the fifth stage runs on each region.

    Example:
        >>> import torch
        >>> with torch.device("meta"):  # without numbers, so at once
        ...     net = TorchvisionBackbone(arch="squeezenet1_1")
        >>> {name: layer.shape for name, layer in net.layers.items()}
        {'pool5': (512, 3, 3), 'final': (512,)}
    """

    collection: ClassVar[str] = "torchvision"

    def __init__(
        self,
        *,
        arch: Literal[
            "alexnet", "vgg16", "squeezenet1_0", "squeezenet1_1", "mobilenet_v2", "resnet18", "resnet50"
        ] = "alexnet",
        input_size: Annotated[int, NonNegative] = 0,
        grid: Annotated[int, Positive] = 3,
        map_stride: Annotated[int, NonNegative] = 0,
        levels: tuple[Annotated[int, Positive], ...] = (),
    ) -> None:
        from torchvision import models  # slow to import, and evaluation needs no network

        super().__init__()
        facts = _NETS[arch]
        self.arch = arch
        self.grid = grid
        self.has_fc = facts.has_fc
        self.levels = tuple(levels)
        self.takes_any_map = not facts.has_fc and not levels
        self.input_size = input_size or facts.input_size
        self.stride = map_stride or facts.stride
        self.map_origin = facts.origin
        self.preprocessing = Preprocessing.of("RGB", 1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))

        net = getattr(models, arch)(weights=None)
        own_pooling = net.features.pop(-1) if self.has_fc else nn.Identity()
        for name, module in net.named_children():
            if name not in ("avgpool", "classifier", "fc"):
                self.add_module(name, module)
        if self.has_fc:
            self.pool5 = own_pooling
            self.avgpool = net.avgpool
            self.classifier = net.classifier[:-1]
        self._map_layers, self._region_layers = self._parted(facts)
        try:
            shape = shape_after(self, self._map_layers, (3, self.input_size, self.input_size))
        except RuntimeError as error:
            raise ConfigError(
                f"BACKBONE.TorchvisionBackbone.INPUT_SIZE: {self.input_size} is too small for {arch}; "
                f"its own size is {facts.input_size}"
            ) from error
        self.map_channels, *size = shape
        self.map_size = (size[0], size[1])
        self.layers = self._layers()
        if self.has_fc:
            self._read_pool5()
        self.train(self.training)

    def map(self, images: Tensor) -> Tensor:
        """(B, C, h, w): for AlexNet and VGG16 the map before the last pooling, for others that of ``map_stride``."""
        return through(self, self._map_layers, images)

    def pool(self, maps: Tensor) -> Tensor:
        """The pyramid if there are levels; else the own pooling of AlexNet and VGG16, or the maps of the others."""
        if self.levels:
            return pyramid_pool(maps, self.levels)
        return self.avgpool(self.pool5(maps)) if self.has_fc else maps

    def after_pool(self, pooled: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """``pool5``, ``fc6``, ``fc7`` of AlexNet and VGG16; the averages ``pool5``, ``cells``, ``final`` of others."""
        if not self.has_fc:
            return averages(self, self._region_layers, pooled, layers)
        x = pooled.flatten(1)
        out = {"pool5": x}
        for name, part in (("fc6", slice(0, 3)), ("fc7", slice(3, 6))):
            if name in layers or "fc7" in layers:
                x = out[name] = self.classifier[part](x)
        return {name: out[name] for name in layers}

    def _parted(self, facts: _Net) -> tuple[list[str], list[str]]:
        """The modules up to the map that regions are pooled from, and those that run on each region's cells."""
        names: list[str] = []
        for name, module in self.named_children():
            if name not in ("pool5", "avgpool", "classifier"):
                inner = [f"{name}.{number}" for number, _ in module.named_children()]
                names += inner if name == "features" else [name]
        if self.stride == facts.stride:
            return names, []
        # Only these networks have the first cell of each map on the first pixel.
        has_maps = facts.origin == 0.5 and not self.levels
        ends = last_of_stride(self, names, facts.input_size) if has_maps else {}
        if self.stride not in ends:
            allowed = ", ".join(map(str, sorted({0, facts.stride, *ends})))
            raise ConfigError(
                f"BACKBONE.TorchvisionBackbone.MAP_STRIDE: {self.arch} has no map of {self.stride} pixels a cell to "
                f"pool regions from{' with LEVELS' if self.levels else ''}; allowed: {allowed}"
            )
        return names[: ends[self.stride]], names[ends[self.stride] :]

    def _layers(self) -> dict[str, LayerSpec]:
        if not self.has_fc:
            return average_layers(self, self._region_layers, pool5_shape(self.map_channels, self.grid, self.levels))
        pool5 = pool5_shape(self.map_channels, self.avgpool.output_size[0], self.levels)
        return {"pool5": pool5, "fc6": LayerSpec((4096,)), "fc7": LayerSpec((4096,))}

    def _read_pool5(self) -> None:
        """Gives fc6 the length of pool5 where torchvision's has another."""
        at = next(i for i, layer in enumerate(self.classifier) if isinstance(layer, nn.Linear))
        dim, fc6 = self.layers["pool5"].dim, self.classifier[at]
        if fc6.in_features != dim:
            self.classifier[at] = nn.Linear(dim, fc6.out_features)
