"""Names of networks, and the network that a set of tensors belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import get_args

import torch
from torch import Tensor

from detkit.backbones.base import Backbone
from detkit.config.schema import fields_of
from detkit.registry import BACKBONES


def network_name(backbone: Backbone) -> str:
    """The component's name, with its architecture if it has several."""
    name, arch = type(backbone).__name__, getattr(backbone, "arch", "")
    return f"{name} {arch}" if arch else name


def home_of(backbone: Backbone) -> str:
    """``torchvision:ARCH`` or ``timm:ARCH`` of a network of the library; else an empty string."""
    collection = getattr(backbone, "collection", "")
    return f"{collection}:{getattr(backbone, 'arch', '')}" if collection else ""


def nearest_network(tensors: Mapping[str, Tensor], wanted: Backbone) -> str:
    """The sentence " The file looks like ..." for the network that shares most names and shapes; or an empty string.

    Args:
        tensors: tensors of the file by name.
        wanted: the network that they do not fit. If it is the nearest itself, the sentence names its settings, too.
    """
    own, shares = network_name(wanted), {}
    for backbone in _all_networks():
        needed = backbone.state_dict()
        hits = sum(name in tensors and tensors[name].shape == t.shape for name, t in needed.items())
        shares[network_name(backbone)] = hits / len(needed)
    best = max(shares, key=lambda name: (shares[name], name == own))
    if shares[best] <= 0.5 or (best == own and wanted.state_dict().keys() - tensors.keys()):
        return ""
    if best != own:
        return f" The file looks like {best}."
    key = f"BACKBONE.{type(wanted).__name__}.INPUT_SIZE"
    return f" The file looks like {best} with other settings, such as another {key} (here {wanted.input_size})."


def _all_networks() -> Iterator[Backbone]:
    """Every registered backbone in each of its architectures, with default settings and without numbers."""
    with torch.device("meta"):
        for name in BACKBONES.names():
            component = BACKBONES.get(name)
            arch = fields_of(component).get("ARCH")
            for settings in [{"arch": a} for a in get_args(arch.annotation)] if arch else [{}]:
                yield component(**settings)
