"""What the processor can do at best."""

from __future__ import annotations

import statistics

import torch
from timing import interleaved
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def flops(net: nn.Module, given: Tensor) -> int:
    """Floating-point operations of a pass, a multiplication and an addition being two."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        net(given)
    return int(counter.get_total_flops())


@torch.inference_mode()
def peak(dtype: torch.dtype, *, quick: bool) -> tuple[float, str]:
    """The best FLOP/s of a matrix product, a Linear and a 3 x 3 convolution on torch's threads, and which it was."""
    side, batch = (512, 4) if quick else (2048, 64)
    matrix = torch.randn(side, side).to(dtype)
    linear, rows = nn.Linear(9216, 4096).to(dtype), torch.randn(batch * 4, 9216).to(dtype)
    conv = nn.Conv2d(256, 384, 3, padding=1).to(dtype).to(memory_format=torch.channels_last)
    maps = torch.randn(batch, 256, 13, 13).to(dtype).contiguous(memory_format=torch.channels_last)
    actions = {
        "matrix product": lambda: matrix @ matrix,
        "Linear": lambda: linear(rows),
        "3 x 3 convolution": lambda: conv(maps),
    }
    work = {
        "matrix product": 2 * side**3,
        "Linear": 2 * len(rows) * 9216 * 4096,
        "3 x 3 convolution": 2 * batch * 13 * 13 * 9 * 256 * 384,
    }
    seconds = interleaved(actions, 2 if quick else 9)
    speeds = {name: work[name] / statistics.median(times) for name, times in seconds.items()}
    best = max(speeds, key=lambda name: speeds[name])
    return speeds[best], best
