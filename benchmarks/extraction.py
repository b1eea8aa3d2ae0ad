"""Features of regions, decoding and warping included, against the plain loop and against the processor's peak."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import torch
from figures import Figure
from inputs import Setting, index_of
from peak import flops, peak
from plain import plain_alexnet, plain_loop
from timing import interleaved, ratio
from torch import Tensor

from detkit.backbones.caffenet import AlexNet
from detkit.engine.compute import Compute
from detkit.regions.features import ComputedFeatures
from detkit.regions.index import RegionIndex
from detkit.regions.network import RegionNetwork
from detkit.regions.warped_crops import WarpedCrops

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
    """Crops a second, their ratio to the plain loop, the share of the peak, and the error of the features."""
    index = index_of(setting.paths(2 if setting.quick else 8), 16 if setting.quick else 256)
    torch.manual_seed(0)
    backbone, extractor = AlexNet(init="he").eval(), WarpedCrops(input_size=227)
    net = plain_alexnet(backbone)
    actions: dict[str, Callable[[], Tensor]] = {"plain": lambda: plain_loop(net, backbone, extractor, index)}
    networks = {
        name: RegionNetwork(backbone, extractor, compute=compute, batch=16 if setting.quick else 64)
        for name, compute in computes(quick=setting.quick).items()
    }
    for name, network in networks.items():
        actions[name] = lambda network=network: extracted(index, network)
    expected = actions["plain"]()
    errors = {name: (actions[name]() - expected).norm() / expected.norm() for name in networks}
    seconds = interleaved(actions, setting.repeats)
    rates = {name: len(index) / statistics.median(times) for name, times in seconds.items()}
    work = flops(net, torch.zeros(1, 3, 227, 227))
    found = []
    for name, network in networks.items():
        best, low, high = ratio(seconds["plain"], seconds[name])
        aim = "4 or more, 5 wished for" if name.startswith("bfloat16") else "1.6 or more"
        common = {"family": "extraction", "unit": "crops/s"}
        found.append(
            Figure(
                name=f"AlexNet to fc7, {name}",
                value=rates[name],
                against="plain loop",
                base=rates["plain"],
                ratio=best,
                low=low,
                high=high,
                aim=aim,
                **common,
            )
        )
        speed, operator = peak(network.compute.dtype, quick=setting.quick)
        limit = speed / work
        against = f"peak of {speed / 1e9:.0f} GFLOP/s ({operator}) at {work / 1e9:.2f} GFLOP a crop"
        share = rates[name] / limit
        found.append(
            Figure(
                name=f"share of the peak, {name}", value=rates[name], against=against, base=limit, ratio=share, **common
            )
        )
        found.append(
            Figure("extraction", f"error of fc7, {name}", float(errors[name]), "of the norm", "plain loop in float32")
        )
    return found


def extracted(index: RegionIndex, network: RegionNetwork) -> Tensor:
    """(R, 4096) float32 as detkit extracts them."""
    features = ComputedFeatures(index, network, workers=WORKERS)
    return torch.cat([layers["fc7"] for _, layers in features.images(features.every_row(), ["fc7"])])
