"""How many crops a network pass takes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from detkit.backbones.base import Backbone
from detkit.system.compute import Compute

PASS_BYTES = 1 << 24
"""Largest tensor of a pass on a CPU, unless the pass has the fewest crops. Larger ones leave the processor's cache."""
FEWEST, MOST = 8, 64
"""Crops of a pass. With fewer, fully connected layers would read all their weights for few crops."""


def crops_of_a_pass(backbone: Backbone, compute: Compute) -> int:
    """The power of two, from ``FEWEST`` to ``MOST``, with which the tensors of a pass stay small; a GPU takes ``MOST``.

    Args:
        backbone: a network in eval mode, not compiled yet. It runs once on one crop of zeros.
        compute: where and in which precision it will run.
    """
    if compute.device.type != "cpu":
        return MOST
    with torch.inference_mode(), compute.autocast():
        largest = _largest_tensor(backbone)
    crops = MOST
    while crops > FEWEST and crops * largest > PASS_BYTES:
        crops //= 2
    return crops


def _largest_tensor(backbone: Backbone) -> int:
    """Bytes of the largest output of a module without children, for one crop."""
    sizes = [0]

    def note(module: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        sizes.append(out.nbytes)

    hooks = [m.register_forward_hook(note) for m in backbone.modules() if next(m.children(), None) is None]
    backbone(torch.zeros(1, 3, backbone.input_size, backbone.input_size), list(backbone.layers))
    for hook in hooks:
        hook.remove()
    return max(sizes)
