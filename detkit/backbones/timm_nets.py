"""timm's image classifiers as backbones."""

from __future__ import annotations

import copy
import difflib
import functools
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import Self

from detkit.backbones.averaging import (
    FrozenNorms,
    average_layers,
    averages,
    last_of_stride,
    through,
    without_numbers,
)
from detkit.backbones.base import LayerSpec
from detkit.backbones.map_grid import MapGrid, map_grid
from detkit.backbones.preprocessing import Preprocessing
from detkit.config.ranges import NonNegative, Positive
from detkit.errors import ConfigError
from detkit.registry import BACKBONES


@BACKBONES.register()
class TimmBackbone(FrozenNorms):
    """A convolutional network of timm, up to its last feature map. Tensors keep timm's names.

    Its layers are ``pool5``, the last map averaged to a small grid, and ``final``, the global average of the map. With
    a ``map_stride`` below the network's own stride, ``pool5`` comes from the earlier map, and the additional layer
    ``cells`` is the last map.

    BatchNorms use their stored statistics in train mode, too; their weights are trained. Pixels are prepared by timm's
    settings of the architecture, or by those of the loaded weights if these have any.

    It needs the extra ``detkit[timm]``.

    Args:
        arch: timm's name of the network, without the tag of its weights.
        input_size: side of the crop in pixels; 0 takes timm's own size of the network.
        grid: cells on each side of ``pool5``.
        map_stride: image pixels per cell of the map that regions are pooled from; 0 takes the last map. With a number
            below the network's own stride, the layers after that map run on the ``grid`` of each region, as fully
            connected layers do.

    Raises:
        ConfigError: if timm is not installed or has no such network, if the network has no feature map or none of
            ``map_stride``, or if the crop is too small for it.

    Source of layers that run on each region: He et al., Deep residual learning (2016), appendix A. There, regions are
    pooled from the fourth stage, and the fifth stage runs on each region.

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
        map_stride: Annotated[int, NonNegative] = 0,
    ) -> None:
        super().__init__()
        net = _created(arch)
        facts = net.pretrained_cfg
        self.arch = arch
        self.input_size = input_size or facts["input_size"][-1]
        self.preprocessing = Preprocessing.of("RGB", 1 / 255, facts["mean"], facts["std"])
        self.takes_any_map = True

        self._map_layers, self._region_layers = _parted(arch, map_stride) if map_stride else ((), ())
        crop, image = _grids(net, arch, self.input_size, self._map_layers)
        self.stride = self.fills_to = round(crop.stride)
        self.map_size, self.map_channels = crop.size, crop.channels
        self.crop_origin, self.map_origin = crop.origin, image.origin
        try:
            self.layers = average_layers(net, self._region_layers, LayerSpec((crop.channels, grid, grid)))
        except RuntimeError as error:
            raise ConfigError(
                f"BACKBONE.TimmBackbone.GRID: {grid} does not fit the layers of {arch} behind the map of {map_stride} "
                "pixels a cell; take another number, such as 7"
            ) from error
        # The network's own modules, so that names of tensors stay as timm has them and both see what is replaced.
        self._modules, self._parameters, self._buffers = net._modules, net._parameters, net._buffers
        self._net = (net,)
        self.train(self.training)

    def map(self, images: Tensor) -> Tensor:
        """(B, C, h, w): the features that timm calls unpooled, or the map of ``map_stride``."""
        maps: Tensor
        maps = through(self, self._map_layers, images) if self._map_layers else self._net[0].forward_features(images)
        return maps

    def after_pool(self, pooled: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """The averages ``pool5``, ``cells`` and ``final``."""
        return averages(self, self._region_layers, pooled, layers)

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


@functools.cache  # it runs the network, and a plan builds the same one several times
def _parted(arch: str, map_stride: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The modules up to the map that regions are pooled from, and those that run on each region's cells.

    Raises:
        ConfigError: if the network is no chain of modules, or has no map of this stride.
    """
    with torch.device("cpu"), torch.random.fork_rng(devices=[]):
        net = _created(arch).eval()
        try:
            names = _in_order(net)
            ends = last_of_stride(net, names, net.pretrained_cfg["input_size"][-1])
        except (AssertionError, AttributeError, RuntimeError, TypeError, ValueError):  # a module gives several maps
            ends = {}
    if map_stride not in ends:
        allowed = ", ".join(map(str, sorted({0, *ends})))
        raise ConfigError(
            f"BACKBONE.TimmBackbone.MAP_STRIDE: {arch} has no map of {map_stride} pixels a cell to pool regions from; "
            f"allowed: {allowed}"
        )
    return tuple(names[: ends[map_stride]]), tuple(names[ends[map_stride] :])


@torch.no_grad()
def _in_order(net: Any) -> list[str]:
    """The modules that give the last map if they run one after the other.

    Raises:
        ValueError: if they give another map.
    """
    image = torch.rand(1, *net.pretrained_cfg["input_size"])
    ran = _note_calls(net)
    expected = net.forward_features(image)
    names = [own for name in ran for own in _chain(name, net.get_submodule(name))]
    if not torch.equal(through(net, names, image), expected):
        raise ValueError("the network does more than to run its modules")
    return names


def _chain(name: str, module: nn.Module) -> list[str]:
    """The names of the modules that a module of a chain runs one after the other."""
    if type(module).forward is not nn.Sequential.forward:
        return [name]
    return [f"{name}.{inner}" for inner, _ in module.named_children()]


def _note_calls(net: nn.Module) -> dict[str, None]:
    """A dict that gets the name of each child in the order in which they run."""
    ran: dict[str, None] = {}

    def note(name: str, *given: Any) -> None:
        ran[name] = None

    for name, child in net.named_children():
        child.register_forward_pre_hook(partial(note, name))
    return ran


def _grids(net: Any, arch: str, side: int, map_layers: Sequence[str]) -> tuple[MapGrid, MapGrid]:
    """The maps of a crop and of an image whose sides are multiples of the stride. Modules that the map leaves out go.

    Args:
        net: changed in place.
        arch: its name.
        side: of the crop.
        map_layers: the modules that make the map; empty for the last map.
    """
    empty = without_numbers(copy.deepcopy(net))
    ran = _note_calls(empty)
    try:
        to_map: Any = empty.forward_features
        crop = map_grid(to_map, side)
        if crop.stride == 0 or crop.channels != net.num_features:
            raise ValueError("its last map has no cells that can be placed")
        if map_layers:
            to_map = partial(through, empty, map_layers)
            crop = map_grid(to_map, side)
        stride = max(round(crop.stride), 1)
        image = map_grid(to_map, -(-side // stride) * stride)
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
