"""A network as it is used, not trained."""

from __future__ import annotations

import copy
import itertools
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from detkit.backbones.base import Backbone
from detkit.backbones.readers import lone_readers
from detkit.backbones.timm_nets import TimmBackbone
from detkit.backbones.torchvision_nets import TorchvisionBackbone


def fuse_for_inference(backbone: Backbone, dtype: torch.dtype = torch.float32) -> Backbone:
    """A copy in eval mode with BatchNorms folded into the convolutions before them, to be run in ``dtype``.

    It gives the same numbers up to rounding, in fewer passes over memory. The copy has other tensors than the original,
    so it is for use and not for saving.

    Folded is what is known to be one linear map: an ``nn.BatchNorm2d`` with stored statistics right behind an
    ``nn.Conv2d``, in an ``nn.Sequential`` (subclasses that leave its ``forward`` alone, too), in one of torchvision's
    residual blocks, or wherever a pass through a network of timm shows that it alone reads the convolution.
    Subclasses of the two may do more than the original and stay as they are, and so does whatever stands in another
    module with a ``forward`` of its own. Those of timm are known: an activation in a BatchNorm is kept, and a
    convolution may pad its input first.

    Args:
        backbone: a network of float32.
        dtype: what autocast runs it in. The copy takes input of it and holds in it the weights that autocast would cast
            anew in every pass, so the numbers are the same to the bit; other weights stay float32.
    """
    fused = copy.deepcopy(backbone).eval()
    convs: tuple[type[nn.Module], ...] = (nn.Conv2d,)
    if isinstance(fused, TimmBackbone):
        from timm.layers import Conv2dSame  # slow to import, and other networks have none

        convs = (nn.Conv2d, Conv2dSame)
        for conv, norm in lone_readers(fused, convs):
            _fold(fused, conv, norm)
    in_order = _in_order()
    for parent in list(fused.modules()):
        if type(parent).forward is nn.Sequential.forward or type(parent) in in_order:
            _fold_neighbours(parent)
    for module in fused.modules():
        if type(module) in (*convs, nn.Linear):
            module.to(dtype)
    fused.preprocessing = replace(fused.preprocessing, dtype=dtype)
    return fused


def _in_order() -> tuple[type[nn.Module], ...]:
    """Modules beside ``nn.Sequential`` in which a BatchNorm alone takes what the convolution before it gives."""
    from torchvision.models.resnet import BasicBlock, Bottleneck  # slow to import, and evaluation needs no network

    return (BasicBlock, Bottleneck, TorchvisionBackbone)


def _fold_neighbours(parent: nn.Module) -> None:
    """Folds each BatchNorm of a module into the convolution before it, in place."""
    # named_children leaves out a module that stands there twice, such as one ReLU for all, and would make neighbours.
    children = list(parent._modules.items())
    for (conv_name, conv), (norm_name, norm) in itertools.pairwise(children):
        if type(conv) is nn.Conv2d and type(norm) is nn.BatchNorm2d and norm.running_mean is not None:
            setattr(parent, conv_name, fuse_conv_bn_eval(conv, norm))
            setattr(parent, norm_name, nn.Identity())


def _fold(network: nn.Module, conv_name: str, norm_name: str) -> None:
    """Folds a BatchNorm into a convolution, in place; its activation stays where it has one."""
    conv: Any = network.get_submodule(conv_name)
    norm: Any = network.get_submodule(norm_name)
    kept = [child for name, child in norm.named_children() if name in ("drop", "act")]
    for name, module in ((conv_name, fuse_conv_bn_eval(conv, norm)), (norm_name, nn.Sequential(*kept))):
        parent, _, own = name.rpartition(".")
        setattr(network.get_submodule(parent), own, module)
