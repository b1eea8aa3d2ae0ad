"""The same seed gives the same bits, whatever else differs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from detkit.backbones.caffenet import AlexNet, CaffeNet
from detkit.backbones.tiny import TinyNet
from detkit.backbones.torchvision_nets import TorchvisionBackbone
from detkit.regions.network import RegionNetwork
from detkit.regions.passes import in_passes
from detkit.regions.shared_map import SharedMap
from detkit.structures import Boxes
from detkit.system.compute import Compute

BATCHES = [pytest.param(5, marks=pytest.mark.soak), 16]
SLOW = pytest.mark.soak
NETWORKS = {
    "caffenet": lambda: CaffeNet(input_size=67),
    "alexnet": lambda: AlexNet(input_size=67),
    "tiny": lambda: TinyNet(input_size=48),
    "squeezenet1_1": lambda: TorchvisionBackbone(arch="squeezenet1_1", input_size=64),
    "mobilenet_v2": lambda: TorchvisionBackbone(arch="mobilenet_v2", input_size=64),
    "resnet18": lambda: TorchvisionBackbone(arch="resnet18", input_size=64),
}


@pytest.mark.parametrize("workers", [pytest.param(1, marks=SLOW), 2])
def test_worker_processes_change_no_bit(whole, job, workers):
    ended = job.run(f"RUNTIME.WORKERS={workers}")
    assert ended.code == 0, ended.said
    assert job.bits() == whole.bits


@SLOW
def test_the_same_run_twice_gives_the_same_bits(whole, job):
    assert job.run().code == 0
    assert job.bits() == whole.bits


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("dtype", ["float32", pytest.param("bfloat16", marks=SLOW)])
@pytest.mark.parametrize(
    "name",
    [
        "tiny",
        "squeezenet1_1",
        *(pytest.param(name, marks=SLOW) for name in ("caffenet", "alexnet")),
        pytest.param("mobilenet_v2", marks=SLOW),
        pytest.param("resnet18", marks=SLOW),
    ],
)
def test_a_crop_has_the_same_bits_in_any_row_among_any_others(name, dtype, batch):
    torch.manual_seed(0)
    backbone = NETWORKS[name]().eval()
    compute = Compute.resolve(dtype=dtype, device="cpu")
    compute.prepare(backbone)
    side = backbone.input_size
    crop = torch.randn(3, side, side)
    layers = list(backbone.layers)

    def features(row: int) -> dict[str, torch.Tensor]:
        crops = torch.randn(batch, 3, side, side).contiguous(memory_format=torch.channels_last)
        crops[row] = crop
        with torch.inference_mode(), compute.autocast():
            found = in_passes(lambda c: backbone(c, layers), [crops], batch)
        return {layer: values[row] for layer, values in found.items()}

    first = features(0)
    for row in range(1, batch):
        for layer, values in features(row).items():
            assert torch.equal(values, first[layer]), (layer, row, float((values - first[layer]).abs().max()))


@pytest.mark.parametrize("batch", BATCHES)
def test_a_region_of_a_shared_map_has_the_same_bits_in_any_row_among_any_others(batch):
    torch.manual_seed(0)
    backbone, rng = TinyNet(input_size=48).eval(), np.random.default_rng(0)
    extractor = SharedMap(input_size=48, padding=4, short_sides=(80,), long_side=120)
    network = RegionNetwork(backbone, extractor, compute=Compute.resolve(dtype="float32", device="cpu"), batch=batch)
    image = rng.integers(0, 255, (60, 90, 3), np.uint8)

    def features(row: int) -> dict[str, torch.Tensor]:
        corners = rng.uniform(0, 30, (2 * batch, 4)).astype(np.float32) + np.float32([0, 0, 30, 30])
        corners[row] = (8, 6, 50, 44)
        found = network.of_image(image, Boxes.of(corners.tolist()), list(backbone.layers))
        return {layer: values[row] for layer, values in found.items()}

    first = features(0)
    for row in range(1, 2 * batch):
        for layer, values in features(row).items():
            assert torch.equal(values, first[layer]), (layer, row)
