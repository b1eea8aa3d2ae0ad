"""Extraction in two processes of one thread each, beside one process of two threads."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

import cv2
import torch
from extraction import extracted
from figures import Figure
from inputs import Setting, index_of
from served import end, once, serve, start
from timing import ratio

from detkit.backbones.caffenet import AlexNet
from detkit.regions.network import RegionNetwork
from detkit.regions.warped_crops import WarpedCrops
from detkit.system.compute import Compute
from detkit.system.memory import keep_freed_memory


def figures(setting: Setting) -> list[Figure]:
    """Crops a second of both ways on the same images; each process is warm before the clock starts."""
    paths, boxes = setting.paths(2 if setting.quick else 4), 16 if setting.quick else 256
    one = [start(__file__, 2, boxes, *paths)]
    two = [start(__file__, 1, boxes, *paths[::2]), start(__file__, 1, boxes, *paths[1::2])]
    seconds: dict[str, list[float]] = {"one": [], "two": []}
    for _ in range(setting.repeats):
        seconds["one"].append(once(one))
        seconds["two"].append(once(two))
    end([*one, *two])
    rates = {name: len(paths) * boxes / statistics.median(times) for name, times in seconds.items()}
    best, low, high = ratio(seconds["one"], seconds["two"])
    given = (rates["two"], "crops/s", "one process, two threads", rates["one"], best, low, high, "1 or more")
    return [Figure("processes", "AlexNet to fc7, two processes of one thread", *given)]


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[1]))
    keep_freed_memory()
    cv2.setNumThreads(1)
    torch.manual_seed(0)
    index = index_of([Path(name) for name in sys.argv[3:]], int(sys.argv[2]))
    extractor, compute = WarpedCrops(input_size=227), Compute.resolve(device="cpu")
    network = RegionNetwork(AlexNet(init="he"), extractor, compute=compute, batch=64)
    serve(lambda: extracted(index, network))
