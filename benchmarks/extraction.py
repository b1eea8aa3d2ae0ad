"""Features of regions, decoding and warping included, against the plain loop and against the processor's peak."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import plain
import torch
from breakdown import breakdown
from figures import Figure
from inputs import Setting, index_of
from peak import flops, peak_actions
from plain import plain_alexnet, plain_loop
from served import end, once, start
from timing import interleaved, ratio
from torch import Tensor

from detkit.backbones.caffenet import AlexNet
from detkit.data.images import read_image
from detkit.regions.features import ComputedFeatures
from detkit.regions.index import RegionIndex
from detkit.regions.network import RegionNetwork
from detkit.regions.warped_crops import WarpedCrops
from detkit.system.compute import Compute

WORKERS = 1


def computes(*, quick: bool) -> dict[str, Compute]:
    """The ways to compute that this machine has: each dtype that is fast here; compiled, too, unless ``quick``."""
    found: dict[str, Compute] = {}
    for compile in (False,) if quick else (False, True):
        for dtype in ("float32", "auto"):
            compute = Compute.resolve(dtype=dtype, device="cpu", compile=compile)
            found.setdefault(compute.name, compute)
    return found


def figures(setting: Setting) -> list[Figure]:
    """Crops a second, their ratio to the plain loop, the share of the peak, the error of features, and the parts."""
    paths, boxes, batch = setting.paths(2 if setting.quick else 4), *((16, 16) if setting.quick else (256, 64))
    index = index_of(paths, boxes)
    torch.manual_seed(0)
    backbone, extractor = AlexNet(init="he").eval(), WarpedCrops(input_size=227)
    net = plain_alexnet(backbone)
    networks = {
        name: RegionNetwork(backbone, extractor, compute=compute, batch=batch)
        for name, compute in computes(quick=setting.quick).items()
    }
    peaks = {
        dtype: peak_actions(dtype, quick=setting.quick)
        for dtype in dict.fromkeys(network.compute.dtype for network in networks.values())
    }
    loops = {name: start(plain.__file__, setting.threads, boxes, name, *paths) for name in plain.LOOPS}
    actions: dict[str, Callable[[], object]] = {
        **{name: partial(once, [loop]) for name, loop in loops.items()},
        **{name: partial(extracted, index, network) for name, network in networks.items()},
        **{f"{name} in {dtype}": run for dtype, operators in peaks.items() for name, (run, _) in operators.items()},
    }
    seconds = interleaved(actions, setting.repeats)
    end([*loops.values()])
    rates = {name: len(index) / statistics.median(seconds[name]) for name in (*loops, *networks)}
    expected = plain_loop(net, backbone, extractor, index)
    work = flops(net, torch.zeros(1, 3, 227, 227))
    common: dict[str, Any] = {"family": "extraction", "unit": "crops/s"}
    found = []
    for name, network in networks.items():
        for loop in loops:
            best, low, high = ratio(seconds[loop], seconds[name])
            beside: dict[str, Any] = {"against": loop, "base": rates[loop], "ratio": best, "low": low, "high": high}
            aim = "4 or more, 5 wished for" if name.startswith("bfloat16") else "1.6 or more"
            found.append(Figure(name=f"AlexNet to fc7, {name}", value=rates[name], aim=aim, **beside, **common))
        dtype = network.compute.dtype
        speeds = {
            operator: operations / statistics.median(seconds[f"{operator} in {dtype}"])
            for operator, (_, operations) in peaks[dtype].items()
        }
        operator = max(speeds, key=lambda operator: speeds[operator])
        against = f"peak of {speeds[operator] / 1e9:.0f} GFLOP/s ({operator}) at {work / 1e9:.2f} GFLOP a crop"
        limit = speeds[operator] / work
        given = (rates[name], "crops/s", against, limit, rates[name] / limit)
        found.append(Figure("extraction", f"share of the peak, {name}", *given))
        error = float((extracted(index, network) - expected).norm() / expected.norm())
        found.append(Figure("extraction", f"error of fc7, {name}", error, "of the norm", "plain loop in float32"))
    crops = extractor.prepare(read_image(index.samples[0].path), index.boxes[:batch], np.zeros(batch, bool))
    for name, network in networks.items():
        if not network.compute.compile:
            found += _parts(name, breakdown(backbone, network.compute, crops, layer="fc7", repeats=setting.repeats))
    return found


def _parts(name: str, seconds: Mapping[str, float]) -> list[Figure]:
    """Each part beside the sum of all."""
    whole = sum(seconds.values())
    return [
        Figure("extraction", f"{part}, {name}", 1e3 * own, "ms", "the whole pass", 1e3 * whole, own / whole)
        for part, own in seconds.items()
    ]


def extracted(index: RegionIndex, network: RegionNetwork, layer: str = "fc7") -> Tensor:
    """(R, D) float32 as detkit extracts them."""
    features = ComputedFeatures(index, network, workers=WORKERS)
    return torch.cat([layers[layer] for _, layers in features.images(features.every_row(), [layer])])
