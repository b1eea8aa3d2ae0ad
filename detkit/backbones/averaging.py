"""Functions that backbones from libraries' networks share."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Self

from detkit.backbones.base import Backbone, LayerSpec
from detkit.backbones.map_grid import map_grid


class FrozenNorms(Backbone):
    """A backbone whose BatchNorms use their stored statistics in train mode, too. Their weights are trained."""

    def train(self, mode: bool = True) -> Self:
        """Train or eval mode for all but BatchNorm, which stays in eval mode."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self


def without_numbers(net: nn.Module) -> nn.Module:
    """A network on torch's device "meta", without its BatchNorms, which are slow there and keep all shapes.

    Args:
        net: changed in place.
    """
    net = net.to(torch.device("meta"))
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.forward = nn.Identity().forward  # type: ignore[method-assign]
    return net


def through(net: nn.Module, names: Sequence[str], x: Tensor) -> Tensor:
    """The result of the modules of these names, one after the other."""
    for name in names:
        x = net.get_submodule(name)(x)
    return x


def shape_after(net: nn.Module, names: Sequence[str], shape: tuple[int, ...]) -> tuple[int, ...]:
    """(C, h, w) behind the modules of these names, from a pass without numbers.

    Raises:
        RuntimeError: if the map before them is too small.
    """
    return tuple(_empty(net, names)(torch.empty(1, *shape, device="meta")).shape[1:])


def last_of_stride(net: nn.Module, names: Sequence[str], side: int) -> dict[int, int]:
    """For each stride, how many of the modules of these names lead to the last map with it.

    Args:
        net: has the modules.
        names: of modules that run one after the other on an image.
        side: of a square image that the modules take.
    """
    shapes: list[tuple[int, ...]] = [(3, side, side)]
    for name in names:
        shapes.append(shape_after(net, [name], shapes[-1]))
    lasts = [at for at in range(1, len(names) + 1) if at == len(names) or shapes[at + 1][1:] != shapes[at][1:]]
    return {round(map_grid(_empty(net, names[:at]), side).stride): at for at in lasts}


def _empty(net: nn.Module, names: Sequence[str]) -> nn.Module:
    """A chain of copies of the modules of these names, without numbers."""
    return without_numbers(nn.Sequential(*(copy.deepcopy(net.get_submodule(name)) for name in names)))


def average_layers(net: nn.Module, region_layers: Sequence[str], pool5: LayerSpec) -> dict[str, LayerSpec]:
    """The layers that ``averages`` computes: ``pool5``, ``cells`` if modules run on each region, and ``final``."""
    if not region_layers:
        return {"pool5": pool5, "final": LayerSpec(pool5.shape[:1])}
    cells = shape_after(net, region_layers, pool5.shape)
    return {"pool5": pool5, "cells": LayerSpec(cells), "final": LayerSpec(cells[:1])}


def averages(
    backbone: Backbone, region_layers: Sequence[str], pooled: Tensor, layers: Sequence[str]
) -> dict[str, Tensor]:
    """The named layers, each (N, D): averages of the map (N, C, h, w) and of what is behind the region layers."""
    last = through(backbone, region_layers, pooled) if {"cells", "final"} & set(layers) else pooled
    maps = {"pool5": pooled, "cells": last, "final": last}
    found = {}
    for name in layers:
        _, height, width = (*backbone.layers[name].shape, 1, 1)[:3]
        found[name] = F.adaptive_avg_pool2d(maps[name], (height, width)).flatten(1)
    return found
