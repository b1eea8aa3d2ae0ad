from __future__ import annotations

import functools

import pytest
import torch
import torchvision
from torch import nn

from detkit.backbones.fuse import fuse_for_inference
from detkit.backbones.torchvision_nets import TorchvisionBackbone
from detkit.errors import ConfigError
from detkit.testing import check_component


@functools.cache
def whole_and_backbone(arch):
    """A network of torchvision with random numbers, BatchNorm's too, and the backbone that holds the same."""
    torch.manual_seed(0)
    whole = getattr(torchvision.models, arch)(weights=None).eval()
    for module in whole.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    with torch.device("meta"):
        backbone = TorchvisionBackbone(arch=arch).eval()
    backbone.load_state_dict({k: v for k, v in whole.state_dict().items() if k in backbone.state_dict()}, assign=True)
    return whole, backbone


@pytest.mark.parametrize("arch", ["alexnet", "vgg16"])
def test_convolutions_stand_before_the_fully_connected_layers(arch):
    with torch.device("meta"):
        names = [name.partition(".")[0] for name, _ in TorchvisionBackbone(arch=arch).named_parameters()]
    assert list(dict.fromkeys(names)) == ["features", "classifier"] and names == sorted(names, reverse=True)


@torch.no_grad()
def test_alexnet_equals_torchvisions_up_to_the_classifier():
    whole, backbone = whole_and_backbone("alexnet")
    x = torch.randn(2, 3, 227, 227)
    found = backbone(x, ["pool5", "fc6", "fc7"])
    torch.testing.assert_close(found["pool5"], whole.features(x).flatten(1))
    torch.testing.assert_close(whole.classifier[6](found["fc7"]), whole(x))
    assert found["pool5"].shape == (2, 9216) and found["fc6"].shape == (2, 4096)
    assert backbone.map(x).shape == (2, 256, 13, 13)


@torch.no_grad()
@pytest.mark.parametrize("arch, head", [("mobilenet_v2", "classifier"), ("resnet18", "fc")])
def test_final_equals_what_torchvisions_classifier_reads(arch, head):
    whole, backbone = whole_and_backbone(arch)
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(getattr(whole, head)(backbone(x, ["final"])["final"]), whole(x))


@torch.no_grad()
def test_squeezenets_map_is_what_its_classifier_reads():
    whole, backbone = whole_and_backbone("squeezenet1_1")
    x = torch.randn(1, 3, 227, 227)
    torch.testing.assert_close(backbone.map(x), whole.features(x))
    found = backbone(x, ["pool5", "final"])
    assert found["pool5"].shape == (1, 4608)
    # 14 cells in 3 bins: 0-4, 4-9, 9-13
    expected = torch.stack([backbone.map(x)[..., s, s].mean((2, 3)) for s in (slice(0, 5), slice(4, 10), slice(9, 14))])
    torch.testing.assert_close(found["pool5"].reshape(512, 3, 3)[:, range(3), range(3)], expected[:, 0].T)
    torch.testing.assert_close(found["final"], backbone.map(x).mean((2, 3)))


@torch.no_grad()
@pytest.mark.parametrize("arch, channels, sides", [("mobilenet_v2", 96, (14, 7)), ("resnet18", 256, (14, 7))])
def test_layers_behind_an_earlier_map_run_on_each_region(arch, channels, sides):
    _, whole = whole_and_backbone(arch)
    parted = TorchvisionBackbone(arch=arch, input_size=224, map_stride=16, grid=7).eval()
    parted.load_state_dict(whole.state_dict())
    x = torch.randn(1, 3, 224, 224, generator=torch.manual_seed(1))
    assert (parted.map_channels, parted.map_size, parted.map_origin) == (channels, (sides[0],) * 2, 0.5)
    last = whole.map(x)
    found = parted(x, ["pool5", "cells", "final"])
    torch.testing.assert_close(found["final"], last.mean((2, 3)))
    torch.testing.assert_close(found["cells"], torch.nn.functional.adaptive_avg_pool2d(last, 4).flatten(1))
    torch.testing.assert_close(found["pool5"], torch.nn.functional.avg_pool2d(parted.map(x), 2).flatten(1))
    own = parted.after_pool(parted.map(x)[..., :7, :7], ["cells", "final"])
    torch.testing.assert_close(own["cells"].view(1, -1, 16).mean(2), own["final"])


def test_layers_behind_an_earlier_map_keep_the_contract():
    check_component(TorchvisionBackbone, arch="resnet18", input_size=64, map_stride=16, grid=2)


@pytest.mark.parametrize(
    "settings, said",
    [
        ({"arch": "alexnet", "map_stride": 8}, "alexnet has no map of 8 .* allowed: 0, 16$"),
        ({"arch": "resnet18", "map_stride": 12}, "allowed: 0, 2, 4, 8, 16, 32$"),
        ({"arch": "resnet18", "map_stride": 16, "levels": (1, 2)}, "with LEVELS; allowed: 0, 32$"),
    ],
)
def test_a_map_that_is_not_there_is_refused(settings, said):
    with pytest.raises(ConfigError, match=f"MAP_STRIDE: .*{said}"):
        TorchvisionBackbone(**settings)


@pytest.mark.parametrize(
    "arch, size, map_size, dims",
    [
        ("alexnet", 227, (13, 13), [9216, 4096, 4096]),
        ("vgg16", 224, (14, 14), [25088, 4096, 4096]),
        ("squeezenet1_0", 227, (13, 13), [4608, 512]),
        ("squeezenet1_1", 227, (14, 14), [4608, 512]),
        ("mobilenet_v2", 227, (8, 8), [11520, 1280]),
        ("resnet18", 227, (8, 8), [4608, 512]),
        ("resnet50", 227, (8, 8), [18432, 2048]),
    ],
)
def test_sizes_of_each_architecture(arch, size, map_size, dims):
    with torch.device("meta"):
        backbone = TorchvisionBackbone(arch=arch)
    assert (backbone.input_size, backbone.map_size) == (size, map_size)
    assert [spec.dim for spec in backbone.layers.values()] == dims
    assert backbone.last_layer == ("fc7" if len(dims) == 3 else "final")


@torch.no_grad()
@pytest.mark.parametrize("arch", ["alexnet", "vgg16", "squeezenet1_0", "squeezenet1_1", "mobilenet_v2", "resnet18"])
def test_map_origin_and_stride_are_where_a_mirror_image_leaves_the_map_mirrored(arch):
    # With constant kernels, mirroring the image mirrors the map exactly when its cells lie evenly in it: an image of
    # 2 * (origin + stride * c) pixels has 2c + 1 cells around its middle.
    with torch.device("meta"):
        backbone = TorchvisionBackbone(arch=arch)
        sides = [int(2 * (backbone.map_origin + backbone.stride * c)) for c in (1, 2)]
        assert [tuple(backbone.map(torch.zeros(1, 3, s, s)).shape[2:]) for s in sides] == [(3, 3), (5, 5)]
    backbone.classifier = nn.Identity()
    backbone = backbone.to_empty(device="cpu").eval()
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.fill_(1 / module.weight[0].numel())
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
    # Small numbers stay clear of MobileNet's limit of 6.
    ramp = torch.linspace(0, 0.01, sides[0]).expand(1, 3, sides[0], sides[0])
    maps = backbone.map(ramp)
    torch.testing.assert_close(backbone.map(ramp.flip(3)), maps.flip(3), rtol=1e-4, atol=0)
    assert not torch.allclose(maps, maps.flip(3), rtol=1e-2, atol=0)


def test_batchnorm_keeps_its_statistics_in_train_mode_and_learns():
    backbone = TorchvisionBackbone(arch="resnet18").train()
    before = {k: v.clone() for k, v in backbone.state_dict().items() if "running" in k}
    backbone(torch.randn(2, 3, 64, 64), ["final"])["final"].sum().backward()
    assert all(torch.equal(backbone.state_dict()[k], v) for k, v in before.items())
    assert backbone.bn1.weight.grad.abs().sum() > 0
    assert backbone.training and backbone.layer1.training and not backbone.bn1.training


@torch.no_grad()
@pytest.mark.parametrize("arch, fc7_drops", [("alexnet", False), ("vgg16", True)])
def test_dropout_stands_where_torchvision_has_it(arch, fc7_drops):
    # AlexNet drops before each fully connected layer, VGG16 after it, so that its fine-tuning head is dropped too.
    with torch.device("meta"):
        backbone = TorchvisionBackbone(arch=arch).train()
    kinds = [isinstance(m, nn.Dropout) for m in backbone.classifier]
    assert kinds == ([False, False, True] * 2 if fc7_drops else [True, False, False] * 2)


def test_own_crop_side_and_grid():
    backbone = TorchvisionBackbone(arch="squeezenet1_1", input_size=128, grid=2)
    assert backbone.input_size == 128
    assert backbone.map_size == (7, 7)
    assert backbone.layers["pool5"].shape == (512, 2, 2)


def test_crop_too_small_for_the_network_is_refused():
    with pytest.raises(ConfigError, match=r"INPUT_SIZE: 20 is too small for alexnet; its own size is 227"):
        TorchvisionBackbone(arch="alexnet", input_size=20)


@torch.no_grad()
@pytest.mark.parametrize("arch", ["mobilenet_v2", "resnet18", "resnet50"])
def test_fused_network_gives_the_same_numbers(arch):
    _, backbone = whole_and_backbone(arch)
    x = torch.randn(2, 3, 64, 64)
    expected = backbone(x, ["final"])["final"]
    fused = fuse_for_inference(backbone)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in fused.modules())
    torch.testing.assert_close(fused(x, ["final"])["final"], expected, rtol=1e-4, atol=1e-4)
    assert any(isinstance(m, nn.BatchNorm2d) for m in backbone.modules())


def narrow(layer: nn.Module) -> nn.Module:
    """A fully connected layer of 64 outputs, which reads as many where it is not the first; other layers as they are.

    Args:
        layer: of a classifier whose layers have 4096 outputs.
    """
    if not isinstance(layer, nn.Linear):
        return layer
    return nn.Linear(64 if layer.in_features == 4096 else layer.in_features, 64)


@torch.no_grad()
@pytest.mark.parametrize("arch", ["alexnet", "vgg16", "squeezenet1_0", "squeezenet1_1", "mobilenet_v2", "resnet50"])
def test_fused_network_in_bfloat16_gives_what_autocast_gives_to_the_bit(arch):
    torch.manual_seed(0)
    side = 32 if arch == "vgg16" else 64  # its wide maps take long on a processor without bfloat16
    with torch.device("meta"):
        backbone = TorchvisionBackbone(arch=arch, input_size=side).eval()
        if backbone.has_fc:  # 64 outputs of its 4096 take the same way
            backbone.classifier = nn.Sequential(*(narrow(layer) for layer in backbone.classifier)).eval()
    backbone = backbone.to_empty(device="cpu")
    for module in backbone.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    x, layers = torch.randn(1, 3, side, side).bfloat16(), list(backbone.layers)
    with torch.autocast("cpu", torch.bfloat16):
        expected = fuse_for_inference(backbone)(x, layers)
        found = fuse_for_inference(backbone, torch.bfloat16)(x, layers)
    assert all(torch.equal(found[name], expected[name]) for name in layers)
