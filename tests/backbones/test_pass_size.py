import pytest
import torch

from detkit.backbones import pass_size
from detkit.backbones.fuse import fuse_for_inference
from detkit.backbones.pass_size import crops_of_a_pass
from detkit.backbones.tiny import TinyNet
from detkit.backbones.torchvision_nets import TorchvisionBackbone
from detkit.regions.network import RegionNetwork
from detkit.regions.shared_map import SharedMap
from detkit.regions.warped_crops import WarpedCrops
from detkit.system.compute import Compute

CPU = torch.device("cpu")


def crops(side, dtype=torch.float32):
    network = TorchvisionBackbone(arch="mobilenet_v2", input_size=side)
    return crops_of_a_pass(fuse_for_inference(network, dtype), Compute(CPU, dtype, compile=False))


def test_large_tensors_take_few_crops_and_half_the_bytes_twice_as_many():
    # The widest tensor of MobileNetV2 has 96 channels of half the crop's side. In float32 that is 1.2 MB for 112 px, of
    # which 16 MB hold 13, and 0.61 MB for 80 px, of which they hold 27.
    assert [crops(112), crops(80), crops(80, torch.bfloat16), crops(32)] == [8, 16, 32, 64]


@pytest.mark.parametrize(("of_one", "expected"), [(32.0, 32), (63.9, 32), (64.0, 64), (1.0, 8), (1000.0, 64)])
def test_a_pass_holds_the_greatest_power_of_two_that_fits(monkeypatch, of_one, expected):
    network = TinyNet(input_size=16, width=4, fc_dim=8).eval()
    largest = 4 * 4 * 8 * 8  # bytes of the second convolution's four channels
    monkeypatch.setattr(pass_size, "PASS_BYTES", of_one * largest)
    assert crops_of_a_pass(network, Compute(CPU, torch.float32, compile=False)) == expected
    assert not any(module._forward_hooks for module in network.modules())


def test_a_gpu_takes_the_most_without_running_the_network():
    assert crops_of_a_pass(TinyNet(), Compute(torch.device("meta"), torch.float32, compile=False)) == pass_size.MOST


@pytest.mark.parametrize(
    ("given", "extractor", "expected"), [(5, WarpedCrops, 5), (0, WarpedCrops, 8), (0, SharedMap, 64)]
)
def test_a_network_takes_the_number_it_is_given(monkeypatch, given, extractor, expected):
    monkeypatch.setattr(pass_size, "PASS_BYTES", 1)
    network = TinyNet(input_size=16, width=4, fc_dim=8)
    made = RegionNetwork(
        network, extractor(input_size=16), compute=Compute(CPU, torch.float32, compile=False), batch=given
    )
    assert made.batch == expected
