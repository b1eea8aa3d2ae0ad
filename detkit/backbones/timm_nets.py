"""timm's image classifiers as backbones."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from typing import Annotated, Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Self

from detkit.backbones.averaging import FrozenNorms, without_numbers
from detkit.backbones.base import LayerSpec
from detkit.backbones.map_grid import MapGrid, map_grid
from detkit.backbones.preprocessing import Preprocessing
from detkit.config.ranges import NonNegative, Positive
from detkit.errors import ConfigError
from detkit.registry import BACKBONES


@BACKBONES.register()
class TimmBackbone(FrozenNorms):
    """A convolutional network of timm, up to its last feature map. Tensors keep timm's names.

    Its layers are ``pool5``, the last map averaged to a small grid, and ``final``, the global average of the map.
    BatchNorms use their stored statistics in train mode, too; their weights are trained. Pixels are prepared by timm's
    settings of the architecture, or by those of the loaded weights if these have any.

    It needs the extra ``detkit[timm]``.

    Args:
        arch: timm's name of the network, without the tag of its weights.
        input_size: side of the crop in pixels; 0 takes timm's own size of the network.
        grid: cells on each side of ``pool5``.

    Raises:
        ConfigError: if timm is not installed or has no such network, if the network has no feature map, or if the crop
            is too small for it.

    Example:
        >>> import torch
        >>> with torch.device("meta"):  # without numbers, so at once
        ...     net = TimmBackbone(arch="lcnet_035", input_size=64)
        >>> {name: layer.shape for name, layer in net.layers.items()}
        {'pool5': (176, 3, 3), 'final': (176,)}
    """

    collection: ClassVar[str] = "timm"

    def __init__(
        self,
        *,
        arch: str = "tf_efficientnet_lite0",
        input_size: Annotated[int, NonNegative] = 0,
        grid: Annotated[int, Positive] = 3,
    ) -> None:
        super().__init__()
        net = _created(arch)
        facts = net.pretrained_cfg
        self.arch = arch
        self.input_size = input_size or facts["input_size"][-1]
        self.preprocessing = Preprocessing.of("RGB", 1 / 255, facts["mean"], facts["std"])
        self.takes_any_map = True

        crop, image = _grids(net, arch, self.input_size)
        self.stride = self.fills_to = round(crop.stride)
        self.map_size, self.map_channels = crop.size, crop.channels
        self.crop_origin, self.map_origin = crop.origin, image.origin
        self.layers = {"pool5": LayerSpec((crop.channels, grid, grid)), "final": LayerSpec((crop.channels,))}
        # The network's own modules, so that names of tensors stay as timm has them and both see what is replaced.
        self._modules, self._parameters, self._buffers = net._modules, net._parameters, net._buffers
        self._net = (net,)
        self.train(self.training)

    def map(self, images: Tensor) -> Tensor:
        """(B, C, h, w): the features that timm calls unpooled."""
        maps: Tensor = self._net[0].forward_features(images)
        return maps

    def after_pool(self, pooled: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """``pool5`` and ``final``: the map averaged to the grid, and its global average."""
        cells = {"pool5": self.pool_size, "final": (1, 1)}
        return {name: F.adaptive_avg_pool2d(pooled, cells[name]).flatten(1) for name in layers}

    def origin_of(self, side: int) -> float:
        """The origin of a crop's map or of an image's; the two differ if the network's padding depends on the size."""
        return self.crop_origin if side == self.input_size else self.map_origin

    def train(self, mode: bool = True) -> Self:
        """Train or eval mode for all but BatchNorm, which stays in eval mode."""
        self._net[0].training = mode
        return super().train(mode)


def _created(arch: str) -> Any:
    """The network with random numbers and without its classifier."""
    if find_spec("timm") is None:
        raise ConfigError(
            "BACKBONE.NAME: TimmBackbone, but the package timm is not installed; "
            'pip install "detkit[timm]", or take another backbone'
        )
    import timm  # slow to import

    if not timm.is_model(arch) or "." in arch:
        near = difflib.get_close_matches(arch.partition(".")[0], timm.list_models(), 3, 0.5)
        raise ConfigError(
            f"BACKBONE.TimmBackbone.ARCH: timm {timm.__version__} has no network {arch!r}; "
            f"allowed: a name of timm.list_models() without the tag of its weights"
            + (f", such as {', '.join(near)}" if near else "")
        )
    try:
        return timm.create_model(arch, pretrained=False, num_classes=0, global_pool="")
    except (AssertionError, TypeError, ValueError) as error:
        raise ConfigError(
            f"BACKBONE.TimmBackbone.ARCH: {arch} does not work without its pooling: {error}; take another network"
        ) from error


def _grids(net: Any, arch: str, side: int) -> tuple[MapGrid, MapGrid]:
    """The maps of a crop and of an image whose sides are multiples of the stride. Modules that the map leaves out go.

    Args:
        net: changed in place.
        arch: its name.
        side: of the crop.
    """
    empty = without_numbers(copy.deepcopy(net))
    ran: set[str] = set()
    for name, child in empty.named_children():
        child.register_forward_pre_hook(partial(_note, ran, name))
    try:
        to_map: Any = empty.forward_features
        crop = map_grid(to_map, side)
        stride = max(round(crop.stride), 1)
        image = map_grid(to_map, -(-side // stride) * stride)
        if crop.stride == 0 or crop.channels != net.num_features:
            raise ValueError("its last map has no cells that can be placed")
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ConfigError(
            f"BACKBONE.TimmBackbone: {arch} makes no map (1, channels, rows, columns) of a crop of {side} pixels: "
            f"{' '.join(str(error).split())[:150]}; allowed: a convolutional network, and an INPUT_SIZE that it takes "
            f"(its own is {net.pretrained_cfg['input_size'][-1]})"
        ) from error
    for name, child in net.named_children():
        if name not in ran and any(True for _ in child.parameters()):
            setattr(net, name, nn.Identity())
    return crop, image


def _note(ran: set[str], name: str, module: nn.Module, given: Any) -> None:
    ran.add(name)
