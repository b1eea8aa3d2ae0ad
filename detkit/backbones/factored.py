"""Fully connected layers that were made of lower rank: two in a row instead of one."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from detkit.backbones.base import Backbone


def linear_layers(backbone: Backbone) -> dict[str, nn.Linear]:
    """The fully connected layers by name, in the order of their definition."""
    return {name: module for name, module in backbone.named_modules() if isinstance(module, nn.Linear)}


def take_factors(backbone: Backbone, tensors: Mapping[str, Tensor]) -> None:
    """Gives a backbone two layers where a file holds NAME.0.weight (r, D) and NAME.1.weight (O, r) for its layer NAME.

    Args:
        backbone: changed in place; the new layers hold any numbers.
        tensors: those of the file; others than these are not looked at.
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
    """Puts another module in the place of the one of this name, "classifier.3" for example."""
    parent, _, own = name.rpartition(".")
    setattr(backbone.get_submodule(parent), own, layer)
