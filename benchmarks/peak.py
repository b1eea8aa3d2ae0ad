"""What the processor can do at best."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

REPEATS = 3
"""Runs of an operator in one action: it is shorter than what it is compared with."""


def flops(net: nn.Module, given: Tensor) -> int:
    """Floating-point operations of a pass, a multiplication and an addition being two."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        net(given)
    return int(counter.get_total_flops())


def peak_actions(dtype: torch.dtype, *, quick: bool) -> dict[str, tuple[Callable[[], Tensor], int]]:
    """What a processor is quickest at, on torch's threads: {operator: (the action, its floating-point operations)}."""
    side, batch = (512, 4) if quick else (2048, 64)
    matrix = torch.randn(side, side).to(dtype)
    linear, rows = nn.Linear(9216, 4096).to(dtype), torch.randn(batch * 4, 9216).to(dtype)
    conv = nn.Conv2d(256, 384, 3, padding=1).to(dtype).to(memory_format=torch.channels_last)
    maps = torch.randn(batch, 256, 13, 13).to(dtype).contiguous(memory_format=torch.channels_last)
    return {
        "matrix product": (_repeated(lambda: matrix @ matrix), REPEATS * 2 * side**3),
        "Linear": (_repeated(lambda: linear(rows)), REPEATS * 2 * len(rows) * 9216 * 4096),
        "3 x 3 convolution": (_repeated(lambda: conv(maps)), REPEATS * 2 * batch * 13 * 13 * 9 * 256 * 384),
    }


def _repeated(action: Callable[[], Tensor]) -> Callable[[], Tensor]:
    @torch.inference_mode()
    def run() -> Tensor:
        return [action() for _ in range(REPEATS)][-1]

    return run
