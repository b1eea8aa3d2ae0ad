"""How the cost of extraction grows with images and with proposals, and that of mining with both."""

from __future__ import annotations

import statistics

import torch
from extraction import extracted
from figures import Figure
from inputs import Setting, index_of
from mining import fit
from timing import exponent, interleaved

from detkit.backbones.caffenet import AlexNet
from detkit.engine.compute import Compute
from detkit.regions.network import RegionNetwork
from detkit.regions.warped_crops import WarpedCrops


def figures(setting: Setting) -> list[Figure]:
    """Fitted exponents; 1 is a cost that grows in proportion. Classes are a curve of the family mining."""
    torch.manual_seed(0)
    compute = Compute.resolve(device="cpu")
    network = RegionNetwork(AlexNet(init="he"), WarpedCrops(input_size=227), compute=compute, batch=64)
    images, boxes, dim = ((1, 2), (64, 128), 64) if setting.quick else ((2, 4, 8, 16), (64, 128, 256, 512), 4096)
    by_images = {n: index_of(setting.paths(n), boxes[0]) for n in images}
    by_boxes = {n: index_of(setting.paths(images[0]), n) for n in boxes}
    curves = {
        "extraction over images": {n: lambda i=i: extracted(i, network) for n, i in by_images.items()},
        "extraction over proposals": {n: lambda i=i: extracted(i, network) for n, i in by_boxes.items()},
        "mining over images": {16 * n: lambda n=n: fit(16 * n, boxes[0], 5, dim) for n in images},
        "mining over proposals": {n: lambda n=n: fit(32, n, 5, dim) for n in boxes},
    }
    found = []
    for name, points in curves.items():
        seconds = interleaved({str(n): action for n, action in points.items()}, 1 if setting.quick else 3)
        medians = [statistics.median(seconds[str(n)]) for n in points]
        for n, median in zip(points, medians, strict=True):
            found.append(Figure("curves", f"{name}: {n}", median, "s"))
        found.append(Figure("curves", f"exponent of {name}", exponent(list(points), medians), ""))
    return found
