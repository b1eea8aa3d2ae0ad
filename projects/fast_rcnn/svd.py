"""Fully connected layers of lower rank, for faster detection."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from detkit.backbones.base import Backbone
from detkit.backbones.factored import linear_layers, replace_layer
from detkit.errors import ConfigError


def compress(backbone: Backbone, ranks: Sequence[int]) -> None:
    """Replaces fully connected layers, in place, each by two.

    Args:
        backbone: changed in place.
        ranks: for fc6, fc7 and so on, in the order of the network; 0 leaves a layer as it is.

    Raises:
        ConfigError: the network has fewer such layers.
    """
    layers = linear_layers(backbone)
    if len(ranks) > len(layers):
        raise ConfigError(
            f"COMPRESS.RANKS: {list(ranks)} are {len(ranks)} numbers, but the network has {len(layers)} fully "
            f"connected layers; allowed: at most {len(layers)}"
        )
    for (name, layer), rank in zip(layers.items(), ranks, strict=False):
        if rank:
            replace_layer(backbone, name, of_rank(layer, rank))


@torch.no_grad()
def of_rank(layer: nn.Linear, rank: int) -> nn.Sequential:
    """Two layers that give what ``layer`` gives with all but its ``rank`` largest singular values set to 0.

    W = U S V' becomes S_t V_t' without a bias, then U_t with the layer's; nothing stands between them.
    Source: Fast R-CNN, section 3.1.

    Args:
        layer: (O, D).
        rank: larger ones than O count as O. Ranks below O D / (O + D) save numbers.
    """
    weight = layer.weight.detach()
    # The left singular vectors are the eigenvectors of W W', which is far smaller than W; S V' = U' W.
    parts = (part.double() for part in weight.split(4096, dim=1))
    square = torch.stack([part @ part.T for part in parts]).sum(0)
    left = torch.linalg.eigh(square).eigenvectors.flip(1)[:, :rank].to(weight.dtype)
    first = nn.Linear(layer.in_features, left.shape[1], bias=False)
    second = nn.Linear(left.shape[1], layer.out_features)
    first.weight.copy_(left.T @ weight)
    second.weight.copy_(left)
    second.bias.copy_(layer.bias)
    return nn.Sequential(first, second)
