"""A network as it is used, not trained."""

from __future__ import annotations

import copy
import itertools
from dataclasses import replace

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from detkit.backbones.base import Backbone


def fuse_for_inference(backbone: Backbone, dtype: torch.dtype = torch.float32) -> Backbone:
    """A copy in eval mode with each BatchNorm folded into the convolution before it, to be run in ``dtype``.

    It gives the same numbers up to rounding, in fewer passes over memory. The copy has other tensors than the original,
    so it is for use and not for saving.

    Args:
        backbone: a network of float32.
        dtype: what autocast runs it in. The copy takes input of it and holds in it the weights that autocast would cast
            anew in every pass, so the numbers are the same to the bit; other weights stay float32.
    """
    fused = copy.deepcopy(backbone).eval()
    for parent in list(fused.modules()):
        children = list(parent.named_children())
        for (conv_name, conv), (norm_name, norm) in itertools.pairwise(children):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, conv_name, fuse_conv_bn_eval(conv, norm))
                setattr(parent, norm_name, nn.Identity())
    for module in fused.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.to(dtype)
    fused.preprocessing = replace(fused.preprocessing, dtype=dtype)
    return fused
