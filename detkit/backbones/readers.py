"""Convolutions that only a BatchNorm reads, found by a pass through the network."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from detkit.backbones.base import Backbone


def lone_readers(network: Backbone, convs: tuple[type[nn.Module], ...]) -> list[tuple[str, str]]:
    """Names of (convolution, BatchNorm) pairs in which the BatchNorm alone reads the convolution's output.

    The network runs once on one crop of zeros. In it both modules run once, and the BatchNorm uses stored statistics.

    Args:
        network: in eval mode; unchanged.
        convs: the types of convolutions, which excludes their subclasses. The types of BatchNorms are
            ``nn.BatchNorm2d`` and timm's with an activation.
    """
    from timm.layers import BatchNormAct2d  # slow to import, and other networks have none

    seen = _Seen()
    hooks = []
    for name, module in network.named_modules():
        if type(module) in convs:
            hooks.append(module.register_forward_hook(partial(seen.gives, name)))
        elif type(module) in (nn.BatchNorm2d, BatchNormAct2d) and module.running_mean is not None:
            hooks.append(module.register_forward_pre_hook(partial(seen.takes, name)))
    device = next(iter(network.parameters())).device
    with torch.no_grad(), seen:
        network(torch.zeros(1, 3, network.input_size, network.input_size, device=device), list(network.layers))
    for hook in hooks:
        hook.remove()
    return seen.pairs()


class _Seen(TorchDispatchMode):
    """Counts the operations that read each convolution's output."""

    def __init__(self) -> None:
        super().__init__()
        self._given: dict[int, tuple[str, Tensor]] = {}  # the tensor is held, so that no other gets its id
        self._taken: dict[int, str] = {}
        self._reads: Counter[int] = Counter()
        self._runs: Counter[str] = Counter()

    def gives(self, name: str, module: nn.Module, given: Any, out: Tensor) -> None:
        self._runs[name] += 1
        self._given[id(out)] = (name, out)

    def takes(self, name: str, module: nn.Module, given: tuple[Tensor, ...]) -> None:
        self._runs[name] += 1
        self._taken[id(given[0])] = name

    def pairs(self) -> list[tuple[str, str]]:
        return [
            (conv, self._taken[key])
            for key, (conv, _) in self._given.items()
            if key in self._taken and self._reads[key] == self._runs[conv] == self._runs[self._taken[key]] == 1
        ]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for key in {id(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)} & self._given.keys():
            self._reads[key] += 1
        return func(*args, **(kwargs or {}))
