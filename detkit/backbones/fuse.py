"""BatchNorms that become part of the convolutions before them, for use and in training."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from detkit.backbones.base import Backbone
from detkit.backbones.readers import lone_readers
from detkit.backbones.timm_nets import TimmBackbone
from detkit.backbones.torchvision_nets import TorchvisionBackbone


def fuse_for_inference(backbone: Backbone, dtype: torch.dtype = torch.float32) -> Backbone:
    """A copy in eval mode with BatchNorms folded into the convolutions before them, to be run in ``dtype``.

    It returns the same numbers up to rounding, and is faster because it reads memory less often. The copy has other
    tensors than the original, so use it, but do not save it.

    An ``nn.BatchNorm2d`` with stored statistics right after an ``nn.Conv2d`` is folded in these places:
    - in an ``nn.Sequential``, and in subclasses that keep its ``forward``;
    - in one of torchvision's residual blocks;
    - wherever a pass through a network of timm shows that the BatchNorm alone reads the convolution.

    Modules with a ``forward`` of their own stay as they are. So do subclasses of the two layers, which may do more,
    except timm's: the activation in a BatchNorm is kept, and a convolution may pad its input first.

    Args:
        backbone: a network of float32.
        dtype: dtype of autocast and of the copy's input. Weights that autocast would cast in every pass are cast once,
            here, so the numbers are the same to the bit; other weights stay float32.
    """
    fused = copy.deepcopy(backbone).eval()
    convs = _convolutions(fused)
    for conv, norm in _pairs(fused, convs):
        _fold(fused, conv, norm)
    for module in fused.modules():
        if type(module) in (*convs, nn.Linear):
            module.to(dtype)
    fused.preprocessing = replace(fused.preprocessing, dtype=dtype)
    return fused


@contextmanager
def norms_folded(backbone: Backbone) -> Iterator[None]:
    """A context in which each pass folds the scales of frozen BatchNorms into the convolutions before them.

    The numbers and all gradients, those of the BatchNorms' weights too, are the same up to rounding. A step of 64 crops
    of MobileNetV2 takes less time and memory, since the maps between the two layers are neither made nor kept.

    The same layers are folded as in ``fuse_for_inference``, on three conditions: the convolution pads as ``nn.Conv2d``
    does, and the BatchNorm has weights and uses stored statistics in the backbone's current mode.

    Args:
        backbone: its parameters stay in place, so they are trained and saved under their names.
    """
    modes = [(module, module.training) for module in backbone.modules()]
    pairs = _pairs(backbone.eval(), (nn.Conv2d,))
    for module, mode in modes:
        module.training = mode
    changed: list[nn.Module] = []
    try:
        for conv_name, norm_name in pairs:
            conv: Any = backbone.get_submodule(conv_name)
            norm: Any = backbone.get_submodule(norm_name)
            if norm.affine and not norm.training:
                conv.forward, norm.forward = partial(_convolve, conv, norm), _behind(norm).forward
                changed += [conv, norm]
        yield
    finally:
        for module in changed:
            del module.forward


def _convolve(conv: nn.Conv2d, norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """The BatchNorm's output for the convolution, in one pass over memory."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    start = -norm.running_mean if conv.bias is None else conv.bias - norm.running_mean
    return conv._conv_forward(x, conv.weight * scale[:, None, None, None], norm.bias + start * scale)


def _convolutions(network: Backbone) -> tuple[type[nn.Module], ...]:
    """The types of convolutions that a BatchNorm can be folded into for use."""
    if not isinstance(network, TimmBackbone):
        return (nn.Conv2d,)
    from timm.layers import Conv2dSame  # slow to import, and other networks have none

    return (nn.Conv2d, Conv2dSame)


def _pairs(network: Backbone, convs: tuple[type[nn.Module], ...]) -> list[tuple[str, str]]:
    """(convolution, BatchNorm) by name: the BatchNorm alone takes what the convolution gives, on stored statistics."""
    pairs = lone_readers(network, convs) if isinstance(network, TimmBackbone) else []
    in_order = _in_order()
    for name, parent in network.named_modules():
        if type(parent).forward is nn.Sequential.forward or type(parent) in in_order:
            before = f"{name}." if name else ""
            pairs += [(before + conv, before + norm) for conv, norm in _neighbours(parent)]
    return list(dict.fromkeys(pairs))


def _in_order() -> tuple[type[nn.Module], ...]:
    """Modules beside ``nn.Sequential`` in which a BatchNorm alone takes what the convolution before it gives."""
    from torchvision.models.resnet import BasicBlock, Bottleneck  # slow to import, and evaluation needs no network

    return (BasicBlock, Bottleneck, TorchvisionBackbone)


def _neighbours(parent: nn.Module) -> Iterator[tuple[str, str]]:
    """(convolution, BatchNorm behind it) by their names in a module."""
    # named_children leaves out a module that stands there twice, such as one ReLU for all, and would make neighbours.
    for (conv_name, conv), (norm_name, norm) in itertools.pairwise(parent._modules.items()):
        if type(conv) is nn.Conv2d and type(norm) is nn.BatchNorm2d and norm.running_mean is not None:
            yield conv_name, norm_name


def _fold(network: nn.Module, conv_name: str, norm_name: str) -> None:
    """Folds a BatchNorm into a convolution, in place; its activation stays where it has one."""
    conv: Any = network.get_submodule(conv_name)
    norm: Any = network.get_submodule(norm_name)
    for name, module in ((conv_name, fuse_conv_bn_eval(conv, norm)), (norm_name, _behind(norm))):
        parent, _, own = name.rpartition(".")
        setattr(network.get_submodule(parent), own, module)


def _behind(norm: nn.Module) -> nn.Module:
    """The module after a BatchNorm's scale and shift: an identity, or timm's activation."""
    return nn.Sequential(*(child for name, child in norm.named_children() if name in ("drop", "act")))
