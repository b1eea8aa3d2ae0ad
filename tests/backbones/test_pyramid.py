from __future__ import annotations

import logging

import pytest
import torch

from detkit.backbones.caffenet import AlexNet, CaffeNet
from detkit.backbones.pyramid import pool5_shape, pyramid_pool
from detkit.backbones.tiny import TinyNet
from detkit.backbones.torchvision_nets import TorchvisionBackbone
from detkit.backbones.weights import load_weights, refuse_misfit, save_weights
from detkit.errors import WeightsError
from detkit.testing import check_component


def test_bins_of_seven_cells_share_the_middle_one():
    # 2 bins of 7 cells: floor(0) to ceil(3.5) = 0..3 and floor(3.5) to 7 = 3..6; 3 bins: 0..2, 2..4, 4..6
    line = torch.tensor([1.0, 0, 0, 5, 0, 2, 0])
    maps = line[:, None].expand(7, 7)[None, None]
    found = pyramid_pool(maps, [1, 2, 3])
    assert found.shape == (1, 1, 14, 1)
    assert found.flatten().tolist() == [5, *[5] * 4, *[1] * 3, *[5] * 3, *[2] * 3]


def test_levels_stand_one_after_the_other_rows_first():
    maps = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert pyramid_pool(maps, [2, 1]).flatten().tolist() == [5, 7, 13, 15, 15]
    assert pool5_shape(3, 6, [2, 1]).shape == (3, 5, 1) and pool5_shape(3, 6, []).shape == (3, 6, 6)


@pytest.mark.parametrize("size", [(13, 13), (5, 9), (2, 3)])
def test_a_map_of_any_size_gives_the_same_number_of_maxima(size):
    maps = torch.rand(2, 4, *size)
    found = pyramid_pool(maps, [1, 2, 3, 6])
    assert found.shape == (2, 4, 50, 1)
    assert torch.equal(found[:, :, 0, 0], maps.flatten(2).amax(2))


@pytest.mark.parametrize("network", [CaffeNet, AlexNet])
def test_one_level_of_six_is_the_networks_own_pooling(network):
    torch.manual_seed(0)
    maps = torch.rand(2, 256, 13, 13)
    with torch.device("meta"):
        own, pyramid = network(), network(levels=(6,))
    assert torch.equal(own.pool(maps).flatten(1), pyramid.pool(maps).flatten(1))
    assert {n: t.shape for n, t in own.state_dict().items()} == {n: t.shape for n, t in pyramid.state_dict().items()}


@pytest.mark.parametrize(
    "make, dim",
    [
        (lambda levels: TinyNet(width=32, fc_dim=16, levels=levels), 32),
        (lambda levels: CaffeNet(input_size=115, levels=levels), 256),
        (lambda levels: TorchvisionBackbone(arch="alexnet", levels=levels), 256),
        (lambda levels: TorchvisionBackbone(arch="squeezenet1_1", input_size=96, levels=levels), 512),
    ],
)
def test_networks_read_the_pyramid(make, dim):
    torch.manual_seed(0)
    backbone = make((1, 2)).eval()
    assert backbone.layers["pool5"].dim == 5 * dim and not backbone.takes_any_map
    with torch.no_grad():
        maps = backbone.map(torch.randn(2, 3, backbone.input_size, backbone.input_size))
        found = backbone.advance(maps, list(backbone.layers))
    assert {n: f.shape[1] for n, f in found.items()} == {n: spec.dim for n, spec in backbone.layers.items()}
    assert torch.equal(found["pool5"], pyramid_pool(maps, (1, 2)).flatten(1))


@pytest.mark.parametrize(
    ("network", "settings"),
    [
        (TinyNet, {}),
        (CaffeNet, {"input_size": 115}),
        (TorchvisionBackbone, {"arch": "squeezenet1_1", "input_size": 96}),
    ],
)
def test_networks_with_a_pyramid_keep_what_backbones_promise(network, settings):
    check_component(network, levels=(1, 2), **settings)


def test_weights_of_another_pooling_leave_the_first_connected_layer_new(tmp_path, caplog):
    torch.manual_seed(0)
    path, plain, pyramid = tmp_path / "net.safetensors", TinyNet(fc_dim=16), TinyNet(fc_dim=16, levels=(1, 2, 3, 6))
    save_weights(path, plain)
    before = {name: tensor.clone() for name, tensor in pyramid.state_dict().items()}
    refuse_misfit(pyramid, str(path))
    with caplog.at_level(logging.WARNING, "detkit"):
        load_weights(pyramid, str(path))
    assert "fc6 stays random, as it reads 1600 numbers of the pyramid [1, 2, 3, 6]" in caplog.text
    given = plain.state_dict()
    for name, tensor in pyramid.state_dict().items():
        assert torch.equal(tensor, before[name] if name.startswith("fc6.") else given[name]), name


def test_a_pyramid_of_the_networks_own_length_takes_every_weight(tmp_path, caplog):
    torch.manual_seed(0)
    path, plain, pyramid = tmp_path / "net.safetensors", TinyNet(fc_dim=16), TinyNet(fc_dim=16, levels=(6,))
    save_weights(path, plain)
    load_weights(pyramid, str(path))
    assert torch.equal(pyramid.fc6.weight, plain.fc6.weight) and "stays random" not in caplog.text


def test_other_misfits_are_refused_with_a_pyramid_too(tmp_path):
    path = tmp_path / "net.safetensors"
    save_weights(path, TinyNet(fc_dim=16))
    with pytest.raises(WeightsError, match=r"tensor fc6.weight has the shape \(16, 1152\), but TinyNet needs \(8, 160"):
        load_weights(TinyNet(fc_dim=8, levels=(1, 2)), str(path))
    with pytest.raises(WeightsError, match=r"tensor fc6.weight has the shape \(16, 1152\), but TinyNet needs"):
        load_weights(TinyNet(fc_dim=16, input_size=32), str(path))
