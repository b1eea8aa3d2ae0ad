"""BatchNorm folded into convolutions."""

from __future__ import annotations

import copy
import itertools

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from detkit.backbones.base import Backbone


def fuse_for_inference(backbone: Backbone) -> Backbone:
    """A copy in eval mode with each BatchNorm folded into the convolution before it.

    It gives the same numbers up to rounding, in fewer passes over memory. The copy has other tensors than the original,
    so it is for use and not for saving.
    """
    fused = copy.deepcopy(backbone).eval()
    for parent in list(fused.modules()):
        children = list(parent.named_children())
        for (conv_name, conv), (norm_name, norm) in itertools.pairwise(children):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, conv_name, fuse_conv_bn_eval(conv, norm))
                setattr(parent, norm_name, nn.Identity())
    return fused
