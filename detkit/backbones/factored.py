"""Fully connected layers of lower rank: two in a row instead of one."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from detkit.backbones.base import Backbone


def linear_layers(backbone: Backbone) -> dict[str, nn.Linear]:
    """The fully connected layers by name, in the order of their definition."""
    return {name: module for name, module in backbone.named_modules() if isinstance(module, nn.Linear)}


@torch.no_grad()
def of_rank(layer: nn.Linear, rank: int) -> nn.Sequential:
    """Two layers that equal ``layer`` with all but its ``rank`` largest singular values set to 0.

    W = U S V' becomes S_t V_t' without a bias, then U_t with the bias of ``layer``. There is no activation in between.
    Source: Fast R-CNN, section 3.1.

    Args:
        layer: (O, D).
        rank: number of singular values that are kept, at most O. Ranks below O D / (O + D) save parameters.
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


def take_factors(backbone: Backbone, tensors: Mapping[str, Tensor]) -> None:
    """Replaces the layer NAME by two layers if a file holds NAME.0.weight (r, D) and NAME.1.weight (O, r) for it.

    Args:
        backbone: changed in place; the new layers are not filled yet.
        tensors: tensors of the file by name; all other tensors are ignored.
    """
    for name, layer in linear_layers(backbone).items():
        first, second = (tensors.get(f"{name}.{i}.weight") for i in range(2))
        if first is None or second is None or first.ndim != 2 or f"{name}.weight" in tensors:
            continue
        device, rank = layer.weight.device, len(first)
        replace_layer(
            backbone,
            name,
            nn.Sequential(
                nn.Linear(layer.in_features, rank, bias=False, device=device),
                nn.Linear(rank, layer.out_features, device=device),
            ),
        )


def replace_layer(backbone: Backbone, name: str, layer: nn.Module) -> None:
    """Replaces the module of a name, "classifier.3" for example, by another module."""
    parent, _, own = name.rpartition(".")
    setattr(backbone.get_submodule(parent), own, layer)
