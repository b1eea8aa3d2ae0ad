"""Networks of timm as backbones."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from detkit.backbones import timm_nets
from detkit.backbones.fuse import fuse_for_inference
from detkit.backbones.timm_nets import TimmBackbone
from detkit.backbones.weights import load_weights, refuse_misfit, weights_identity
from detkit.errors import ConfigError, WeightsError
from detkit.testing import backbones as contract

timm = pytest.importorskip("timm")

SMALL = ("lcnet_035", "mobilenetv3_small_050", "resnet10t", "tf_mobilenetv3_small_minimal_100")
FAMILIES = (
    "convnext_atto",
    "densenet121",
    "edgenext_xx_small",
    "fbnetc_100",
    "ghostnet_050",
    "hardcorenas_a",
    "cspresnet50",
    "mnasnet_small",
    "mobilenetv2_035",
    "mobilenetv3_small_050",
    "regnetx_002",
    "regnety_002",
    "resnet10t",
    "lcnet_035",
    "seresnet18",
    "spnasnet_100",
    "tf_efficientnet_lite0",
    "tf_mobilenetv3_small_minimal_100",
    "tinynet_e",
    "vgg11_bn",
)
OF_SIZES = (
    contract.layers_have_the_promised_shapes,
    contract.map_takes_any_image_size,
    contract.the_map_lies_within_the_crop,
    contract.preprocessing_fits_the_crop,
)
"""What another size of crops may break."""


@pytest.fixture(scope="module")
def same():
    """A network whose padding depends on the size of its input."""
    return with_statistics(TimmBackbone(arch="tf_mobilenetv3_small_minimal_100", input_size=64))


def with_statistics(backbone):
    generator = torch.Generator().manual_seed(0)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.running_mean, module.running_var, module.weight.data, module.bias.data):
                tensor.uniform_(0.5, 2, generator=generator)
    return backbone.eval()


def keeps(checks, arch, size, **settings):
    def make():
        return TimmBackbone(arch=arch, input_size=size, **settings)

    for check in checks:
        check(make)


@pytest.mark.parametrize("arch", SMALL)
def test_networks_of_four_kinds_keep_the_contract(arch):
    keeps(contract.CHECKS, arch, 64)
    keeps(OF_SIZES, arch, 72)


@pytest.mark.soak
@pytest.mark.parametrize("size", [96, 120])
@pytest.mark.parametrize("arch", FAMILIES)
def test_networks_of_twenty_families_keep_the_contract(arch, size):
    keeps(contract.CHECKS, arch, size)


@pytest.mark.soak
@pytest.mark.parametrize("arch", FAMILIES)
def test_networks_of_twenty_families_keep_the_contract_if_cut_at_an_earlier_map(arch):
    keeps(contract.CHECKS, arch, 96, map_stride=16, grid=7)


@pytest.mark.soak
@torch.no_grad()
@pytest.mark.parametrize("arch", FAMILIES)
def test_folded_networks_of_twenty_families_give_the_same_numbers(arch):
    backbone = with_statistics(TimmBackbone(arch=arch, input_size=96))
    assert_folded_alike(backbone)


@torch.no_grad()
def assert_folded_alike(backbone):
    crops = torch.randn(2, 3, backbone.input_size, backbone.input_size, generator=torch.Generator().manual_seed(1))
    expected = backbone(crops, ["final"])["final"]
    found = fuse_for_inference(backbone)(crops, ["final"])["final"]
    assert float((found - expected).norm() / expected.norm()) < 1e-4


def test_folding_keeps_the_activation_of_a_batchnorm(same):
    assert_folded_alike(same)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in fuse_for_inference(same).modules())
    assert any(isinstance(m, nn.BatchNorm2d) for m in same.modules())


@torch.no_grad()
def test_final_is_the_mean_of_timms_unpooled_features(same):
    net = timm.create_model(same.arch, num_classes=0).eval()
    net.load_state_dict(same.state_dict(), strict=False)
    crops = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(same(crops, ["final"])["final"], net.forward_features(crops).mean((2, 3)))


def test_tensors_have_the_names_of_timm_and_what_the_map_leaves_out_is_gone():
    # mobilenetv3's conv_head stands behind the pooling.
    backbone = TimmBackbone(arch="mobilenetv3_small_050", input_size=64)
    own = timm.create_model("mobilenetv3_small_050", num_classes=0).state_dict().keys()
    assert own - backbone.state_dict().keys() == {"conv_head.weight", "conv_head.bias"}
    assert not backbone.state_dict().keys() - own


def test_the_origin_of_same_padding_depends_on_the_size(same):
    # Kernels of 3 with stride 2 start on the first pixel where a side is even: 1 + 2 + 4 + 8 + 16 = 31 steps to the
    # right of its middle. Sides of 9 and 5, which 72 comes to, have a pixel of padding before: 1 + 2 + 4 = 7.
    assert same.map_origin == 31.5
    assert TimmBackbone(arch=same.arch, input_size=72).origin_of(72) == 7.5
    assert TimmBackbone(arch=same.arch, input_size=72).map_origin == 31.5
    assert (same.stride, same.fills_to) == (32, 32)


def test_a_network_cut_at_an_earlier_map_keeps_the_contract():
    keeps(contract.CHECKS, "tf_mobilenetv3_small_minimal_100", 64, map_stride=16)


@torch.no_grad()
@pytest.mark.parametrize("arch", ["tf_mobilenetv3_small_minimal_100", "resnet10t"])
def test_layers_behind_an_earlier_map_run_on_each_region(arch):
    whole = with_statistics(TimmBackbone(arch=arch, input_size=64))
    parted = TimmBackbone(arch=arch, input_size=64, map_stride=16, grid=7).eval()
    parted.load_state_dict(whole.state_dict())
    assert (parted.stride, parted.map_size, parted.map_origin) == (16, (4, 4), {True: 15.5, False: 0.5}["tf" in arch])
    crops = torch.randn(2, 3, 64, 64)
    found = parted(crops, ["final"])["final"]
    torch.testing.assert_close(found, whole(crops, ["final"])["final"])
    # a region's 7 x 7 cells become the 4 x 4 of "cells", and final is their average
    channels = len(found[0])
    assert parted.layers["pool5"].shape[1:] == (7, 7) and parted.layers["cells"].shape == (channels, 4, 4)
    out = parted.after_pool(torch.rand(3, parted.map_channels, 7, 7), ["cells", "final"])
    torch.testing.assert_close(out["cells"].view(3, channels, 16).mean(2), out["final"])
    assert_folded_alike(parted)


def test_pixels_are_prepared_as_timm_says(same):
    # mean .5 and deviation .5: black is -1, white 1.
    found = TimmBackbone(arch="tf_efficientnet_lite0", input_size=64).preprocessing
    assert (found.mean.tolist(), found.std.tolist(), found.scale) == ([0.5] * 3, [0.5] * 3, 1 / 255)


def test_a_map_that_a_network_does_not_have_is_refused_with_its_own():
    with pytest.raises(
        ConfigError, match=r"MAP_STRIDE: resnet10t has no map of 5 pixels .* allowed: 0, 2, 4, 8, 16, 32"
    ):
        TimmBackbone(arch="resnet10t", input_size=64, map_stride=5)
    with pytest.raises(ConfigError, match=r"MAP_STRIDE: hrnet_w18_small has no map of 16 .*; allowed: 0$"):
        TimmBackbone(arch="hrnet_w18_small", input_size=64, map_stride=16)  # its stages give several maps
    with pytest.raises(ConfigError, match=r"GRID: 1 does not fit the layers of densenet121 .* take another number"):
        TimmBackbone(arch="densenet121", input_size=64, map_stride=16, grid=1)


def test_looking_for_an_earlier_map_draws_no_random_numbers():
    timm_nets._parted.cache_clear()
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    with torch.device("meta"):
        TimmBackbone(arch="resnet10t", input_size=64, map_stride=16)
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize(
    ("arch", "told"),
    [
        ("resnet1O", r"has no network 'resnet1O'; allowed: a name of timm.list_models\(\).*, such as resnet18"),
        ("resnet18.a1_in1k", "without the tag of its weights, such as resnet18"),
        ("test_vit", "test_vit makes no map"),
    ],
)
def test_a_network_that_cannot_be_a_backbone_is_refused(arch, told):
    with pytest.raises(ConfigError, match=told):
        TimmBackbone(arch=arch)


def test_without_timm_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr("detkit.backbones.timm_nets.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r'timm is not installed; pip install "detkit\[timm\]"'):
        TimmBackbone()


def test_weights_by_name_are_those_of_the_backbones_own_library(same):
    refuse_misfit(same, "timm:DEFAULT")
    assert weights_identity("timm:in1k") == f"timm:in1k of timm {timm.__version__}"
    with pytest.raises(WeightsError, match=r"timm has no such weights of tf_mobile.*: IN1K|allowed: DEFAULT, in1k"):
        refuse_misfit(same, "timm:nothing")
    with pytest.raises(WeightsError, match="torchvision has none for this backbone; allowed: a file and timm:NAME"):
        load_weights(same, "torchvision:DEFAULT")
