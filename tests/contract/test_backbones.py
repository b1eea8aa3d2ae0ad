"""Every registered backbone keeps what ``Backbone`` promises."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from detkit.backbones.fuse import fuse_for_inference
from detkit.backbones.weights import load_weights, save_weights
from detkit.components import load_components
from detkit.registry import BACKBONES

load_components()


@pytest.fixture(scope="module", params=BACKBONES.names())
def backbone(request):
    torch.manual_seed(0)
    return BACKBONES.get(request.param)().eval()


@pytest.fixture(scope="module")
def crops(backbone):
    return torch.randn(2, 3, backbone.input_size, backbone.input_size)


@torch.no_grad()
def test_layers_have_the_promised_shapes(backbone, crops):
    names = list(backbone.layers)
    found = backbone(crops, names)
    assert list(found) == names
    assert {name: tuple(rows.shape) for name, rows in found.items()} == {
        name: (2, spec.dim) for name, spec in backbone.layers.items()
    }
    assert backbone.last_layer == names[-1] and len(backbone.layers[names[-1]].shape) == 1


@torch.no_grad()
def test_the_copy_in_bfloat16_gives_what_autocast_gives_to_the_bit(backbone):
    pixels = torch.randint(0, 256, (2, backbone.input_size, backbone.input_size, 3), dtype=torch.uint8)
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        fused = fuse_for_inference(backbone, dtype).to(memory_format=torch.channels_last)
        given = fused.preprocessing(pixels)
        assert given.dtype == dtype
        with torch.autocast("cpu", torch.bfloat16):
            found.append(fused(given, list(backbone.layers)))
    assert all(torch.equal(found[0][name], found[1][name]) for name in backbone.layers)


@torch.no_grad()
def test_forward_is_advance_of_the_map(backbone, crops):
    maps = backbone.map(crops)
    assert maps.shape == (2, backbone.map_channels, *backbone.map_size)
    for name in backbone.layers:
        assert torch.equal(backbone.advance(maps, [name])[name], backbone(crops, [name])[name])


@torch.no_grad()
def test_advance_is_the_own_pooling_and_what_follows_it(backbone, crops):
    maps = backbone.map(crops)
    pooled, names = backbone.pool(maps), list(backbone.layers)
    expected = maps.shape if backbone.takes_any_map else (2, backbone.map_channels, *backbone.pool_size)
    assert pooled.shape == expected
    found, whole = backbone.after_pool(pooled, names), backbone.advance(maps, names)
    assert list(found) == names and all(torch.equal(found[name], whole[name]) for name in names)


@torch.no_grad()
def test_regions_pooled_in_another_way_enter_behind_the_pooling(backbone):
    pooled = torch.rand(2, backbone.map_channels, *backbone.pool_size)
    found = backbone.after_pool(pooled, list(backbone.layers))
    assert torch.equal(found[next(iter(backbone.layers))], pooled.flatten(1))
    assert {name: rows.shape for name, rows in found.items()} == {
        name: (2, spec.dim) for name, spec in backbone.layers.items()
    }


@torch.no_grad()
def test_map_takes_any_image_size(backbone):
    height, width = backbone.input_size + 3 * backbone.stride, backbone.input_size + backbone.stride
    maps = backbone.map(torch.zeros(1, 3, height, width))
    assert maps.shape[2:] == (backbone.map_size[0] + 3, backbone.map_size[1] + 1)


def test_map_lies_within_the_crop(backbone):
    last = backbone.map_origin + backbone.stride * (backbone.map_size[0] - 1)
    assert 0 < backbone.map_origin <= last < backbone.input_size


@torch.no_grad()
def test_row_does_not_depend_on_its_neighbours(backbone, crops):
    out, swapped = (backbone(x, [backbone.last_layer])[backbone.last_layer] for x in (crops, crops.flip(0)))
    assert torch.equal(out, swapped.flip(0))


def test_gradients_reach_every_parameter(backbone, crops):
    head = nn.Linear(backbone.layers[backbone.last_layer].dim, 3)
    loss = head(backbone(crops, [backbone.last_layer])[backbone.last_layer]).square().sum()
    assert all(g is not None for g in torch.autograd.grad(loss, list(backbone.parameters()), allow_unused=True))


@torch.no_grad()
def test_parameters_are_registered_in_the_order_of_the_forward_pass(backbone, crops):
    ran = []
    layers = {name: m for name, m in backbone.named_modules() if list(m.parameters(recurse=False))}
    hooks = [m.register_forward_hook(lambda *_, name=name: ran.append(name)) for name, m in layers.items()]
    backbone(crops, [backbone.last_layer])
    for hook in hooks:
        hook.remove()
    assert ran == list(layers)


def test_preprocessing_fits_the_crop(backbone):
    side = backbone.input_size
    pixels = torch.randint(0, 256, (2, side, side, 3), dtype=torch.uint8)
    x = backbone.preprocessing(pixels)
    assert x.shape == (2, 3, side, side) and x.dtype == torch.float32


def test_construction_without_numbers_is_possible(backbone):
    with torch.device("meta"):
        empty = type(backbone)()
    assert empty.layers == backbone.layers and empty.map_size == backbone.map_size


def test_saved_weights_come_back(backbone, tmp_path):
    save_weights(tmp_path / "net.safetensors", backbone)
    with torch.device("meta"):
        other = type(backbone)()
    other = other.to_empty(device="cpu")
    load_weights(other, str(tmp_path / "net.safetensors"))
    state = other.state_dict()
    assert all(torch.equal(t, state[name]) for name, t in backbone.state_dict().items())
