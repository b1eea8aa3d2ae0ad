"""Extraction in two processes of one thread each, beside one process of two threads."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from extraction import extracted
from figures import Figure
from inputs import Setting, index_of
from timing import ratio

from detkit.backbones.caffenet import AlexNet
from detkit.engine.compute import Compute
from detkit.regions.network import RegionNetwork
from detkit.regions.warped_crops import WarpedCrops


def figures(setting: Setting) -> list[Figure]:
    """Crops a second of both ways on the same images; each process is warm before the clock starts."""
    paths, boxes = setting.paths(2 if setting.quick else 8), 16 if setting.quick else 256
    one = [_start(2, boxes, paths)]
    two = [_start(1, boxes, paths[::2]), _start(1, boxes, paths[1::2])]
    seconds: dict[str, list[float]] = {"one": [], "two": []}
    for _ in range(setting.repeats):
        seconds["one"].append(_round(one))
        seconds["two"].append(_round(two))
    for process in (*one, *two):
        process.communicate()
    rates = {name: len(paths) * boxes / statistics.median(times) for name, times in seconds.items()}
    best, low, high = ratio(seconds["one"], seconds["two"])
    given = (rates["two"], "crops/s", "one process, two threads", rates["one"], best, low, high, "1 or more")
    return [Figure("processes", "AlexNet to fc7, two processes of one thread", *given)]


def _start(threads: int, boxes: int, paths: Sequence[Path]) -> subprocess.Popen[str]:
    """A process that extracts all it was given whenever it is sent a line; back when it has done so once."""
    command = [sys.executable, __file__, str(threads), str(boxes), *map(str, paths)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    _wait(process)
    return process


def _round(processes: Sequence[subprocess.Popen[str]]) -> float:
    """Seconds until all of them have done it once."""
    start = time.perf_counter()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        _wait(process)
    return time.perf_counter() - start


def _wait(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    if not process.stdout.readline():
        raise RuntimeError(f"an extraction process ended with {process.wait()}")


def _serve(threads: int, boxes: int, paths: Sequence[Path]) -> None:
    """Extracts once, and once more for each line of standard input."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    index = index_of(paths, boxes)
    extractor, compute = WarpedCrops(input_size=227), Compute.resolve(device="cpu")
    network = RegionNetwork(AlexNet(init="he"), extractor, compute=compute, batch=64)
    extracted(index, network)
    print("ready", flush=True)
    for _ in sys.stdin:
        extracted(index, network)
        print("done", flush=True)


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]), [Path(name) for name in sys.argv[3:]])
