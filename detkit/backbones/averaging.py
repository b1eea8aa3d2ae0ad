"""Functions that backbones from libraries' networks share."""

from __future__ import annotations

import torch
from torch import nn
from typing_extensions import Self

from detkit.backbones.base import Backbone


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
