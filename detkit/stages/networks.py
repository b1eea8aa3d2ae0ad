"""Networks and their heads in the folders of stages."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from detkit.backbones.base import Backbone
from detkit.backbones.weights import load_weights
from detkit.config.build import build
from detkit.regions.network import RegionNetwork
from detkit.regions.source import LinearHead
from detkit.run.kinds import HEADS_FILE, NETWORK_FILE
from detkit.run.shards import save_tensors
from detkit.run.stage import Context
from detkit.structures.state import read_tensors


def load_network(context: Context) -> Backbone:
    """The backbone with the weights of the input ``network``."""
    backbone: Backbone = build(context.config, "BACKBONE")
    load_weights(backbone, str(context.inputs["network"] / NETWORK_FILE))
    return backbone


def region_network(context: Context) -> RegionNetwork:
    """The input ``network`` with the region extractor, which computes features."""
    backbone = load_network(context)
    extractor = build(context.config, "REGION_EXTRACTOR", input_size=backbone.input_size)
    return RegionNetwork(backbone, extractor, compute=context.compute, batch=context.config.RUNTIME.BATCH)


def save_heads(context: Context, heads: Mapping[str, LinearHead]) -> None:
    """Writes a network's heads into the folder of the stage that tuned it."""
    tensors: dict[str, Tensor] = {}
    for name, head in heads.items():
        tensors |= {f"{name}.weight": head.weight, f"{name}.bias": head.bias}
    save_tensors(context.folder / HEADS_FILE, tensors)


def load_heads(context: Context) -> dict[str, LinearHead]:
    """The heads beside the input ``network``, by name; empty if the network was not tuned."""
    file = context.inputs["network"] / HEADS_FILE
    tensors = read_tensors(file) if file.is_file() else {}
    names = dict.fromkeys(key.rpartition(".")[0] for key in tensors)
    return {name: LinearHead(tensors[f"{name}.weight"], tensors[f"{name}.bias"]) for name in names}
