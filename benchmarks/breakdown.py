"""Where the time of a network pass goes."""

from __future__ import annotations

import statistics

import torch
from torch import nn

from detkit.backbones.base import Backbone
from detkit.backbones.fuse import fuse_for_inference
from detkit.regions.base import RegionInputs
from detkit.system.clock import Clock
from detkit.system.compute import Compute


@torch.inference_mode()
def breakdown(
    backbone: Backbone, compute: Compute, crops: RegionInputs, *, layer: str, repeats: int
) -> dict[str, float]:
    """Median seconds of the parts of an eager pass.

    Args:
        backbone: the network.
        compute: device and dtype; nothing is compiled, for a compiled pass has no such parts.
        crops: what ``WarpedCrops`` prepared for one pass.
        layer: the network's output.
        repeats: passes that count, after one that does not.
    """
    own = Compute(compute.device, compute.dtype, compile=False).prepare(fuse_for_inference(backbone, compute.dtype))
    clocks = [Clock() for _ in range(repeats + 1)]
    for clock in clocks:
        for module in own.modules():
            module.__dict__.pop("forward", None)
            if isinstance(module, nn.Conv2d):
                _time(module, "convolutions", clock)
            elif isinstance(module, nn.Linear):
                _time(module, "fully connected", clock)
        with clock("preprocessing"):
            given = own.preprocessing(torch.from_numpy(crops["crops"]), torch.from_numpy(crops["valid"]))
        with clock("network"), compute.autocast():
            found = own(given, [layer])[layer]
        with clock("features to float16"):
            found.float().half()
        layers = clock.seconds["convolutions"] + clock.seconds["fully connected"]
        clock.seconds["LRN, pooling, ReLU"] = clock.seconds.pop("network") - layers
    return {name: statistics.median(clock.seconds[name] for clock in clocks[1:]) for name in clocks[0].seconds}


def _time(module: nn.Module, name: str, clock: Clock) -> None:
    """Tells the clock of every pass through the module."""
    forward = module.forward

    def timed(x: torch.Tensor) -> torch.Tensor:
        with clock(name):
            return forward(x)

    module.forward = timed
