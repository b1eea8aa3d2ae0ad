"""Repetitions side by side, and what is made of them."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence


def interleaved(actions: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each action, one after the other in every repetition, so that whatever slows the machine meets all.

    Each action runs once before, which is not counted: it warms caches and compiles.

    Args:
        actions: what is compared.
        repeats: counted runs of each.
    """
    for action in actions.values():
        action()
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(repeats):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(above: Sequence[float], below: Sequence[float]) -> tuple[float, float, float]:
    """Median, least and greatest of the ratios of runs that stood side by side."""
    ratios = [a / b for a, b in zip(above, below, strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """The p of the best fit seconds ~ size ** p, by least squares of the logarithms."""
    x, y = [math.log(s) for s in sizes], [math.log(s) for s in seconds]
    mean_x, mean_y = statistics.mean(x), statistics.mean(y)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / sum((a - mean_x) ** 2 for a in x)
