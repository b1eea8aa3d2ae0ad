"""Proposals a second by the number of workers."""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Literal

from figures import Figure
from inputs import Setting
from timing import ratio

from detkit.proposals.pool import propose_many
from detkit.proposals.selective_search import SelectiveSearch

HEAD = 2
"""Images behind which the clock starts, when the processes are there."""


def figures(setting: Setting) -> list[Figure]:
    """Images a second of one and of two worker processes, and proposals a second beside them."""
    items = [(path.stem, path) for path in setting.paths(8 if setting.quick else 40)]
    seconds: dict[int, list[float]] = {1: [], 2: []}
    boxes = 0
    for _ in range(1 if setting.quick else 3):
        for workers, times in seconds.items():
            elapsed, boxes = _run(items, workers, "single" if setting.quick else "fast")
            times.append(elapsed)
    count = len(items) - HEAD
    rates = {workers: count / statistics.median(times) for workers, times in seconds.items()}
    best, low, high = ratio(seconds[1], seconds[2])
    given = (rates[2], "images/s", "one worker", rates[1], best, low, high, "1.8 or more")
    total = Figure("proposals", "boxes, two workers", boxes / len(items) * rates[2], "boxes/s")
    return [Figure("proposals", "selective search, two workers", *given), total]


def _run(items: list[tuple[str, Path]], workers: int, mode: Literal["fast", "single"]) -> tuple[float, int]:
    """Seconds behind the first images, and boxes of all."""
    boxes = 0
    start = 0.0
    for at, found in propose_many(SelectiveSearch(mode=mode), items, workers, head_start=0.0):
        boxes += len(found)
        if at == HEAD - 1:
            start = time.perf_counter()
    return time.perf_counter() - start, boxes
