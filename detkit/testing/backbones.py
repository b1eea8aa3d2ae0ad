"""What every backbone keeps."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from detkit.backbones.base import Backbone
from detkit.backbones.weights import load_weights, save_weights
from detkit.system.seeding import torch_seed
from detkit.testing.expect import expect, expect_same


def _new(make: Any) -> tuple[Backbone, Tensor]:
    """The backbone in eval mode and two crops; the same for all checks of a component."""
    if not hasattr(make, "made"):
        with torch_seed(0, "contract"):
            backbone: Backbone = make().eval()
            make.made = (backbone, torch.randn(2, 3, backbone.input_size, backbone.input_size))
    made: tuple[Backbone, Tensor] = make.made
    return made


@torch.no_grad()
def layers_have_the_promised_shapes(make: Any) -> None:
    """In the order of ``layers``; the last one is a vector."""
    backbone, crops = _new(make)
    found = backbone(crops, list(backbone.layers))
    expect(list(found) == list(backbone.layers), f"forward gave {list(found)}, expected {list(backbone.layers)}")
    for name, spec in backbone.layers.items():
        shape = tuple(found[name].shape)
        expect(shape == (2, spec.dim), f"{name}: {shape}, expected {(2, spec.dim)}")
    expect(len(backbone.layers[backbone.last_layer].shape) == 1, "the last layer is no vector")


@torch.no_grad()
def forward_is_advance_of_the_map(make: Any) -> None:
    """So that warped crops and shared maps run through the same layers."""
    backbone, crops = _new(make)
    maps = backbone.map(crops)
    shape = (2, backbone.map_channels, *backbone.map_size)
    expect(maps.shape == shape, f"map gave {tuple(maps.shape)}, expected {shape} of map_channels and map_size")
    for name in backbone.layers:
        expect_same(backbone.advance(maps, [name])[name], backbone(crops, [name])[name], f"{name} by advance")


@torch.no_grad()
def advance_is_the_own_pooling_and_what_follows_it(make: Any) -> None:
    """``pool`` gives ``pool_size``, or leaves the maps as they are where they are averaged."""
    backbone, crops = _new(make)
    maps, names = backbone.map(crops), list(backbone.layers)
    pooled = backbone.pool(maps)
    size = backbone.map_size if backbone.takes_any_map else backbone.pool_size
    shape = (2, backbone.map_channels, *size)
    expect(pooled.shape == shape, f"pool gave {tuple(pooled.shape)}, expected {shape}")
    found, whole = backbone.after_pool(pooled, names), backbone.advance(maps, names)
    for name in names:
        expect_same(found[name], whole[name], f"{name} by after_pool")


@torch.no_grad()
def pooled_regions_take_the_place_of_the_own_pooling(make: Any) -> None:
    """They are the first layer as they are."""
    backbone, _ = _new(make)
    pooled = torch.rand(2, backbone.map_channels, *backbone.pool_size)
    found = backbone.after_pool(pooled, list(backbone.layers))
    first = next(iter(backbone.layers))
    expect_same(found[first], pooled.flatten(1), f"{first} of pooled regions")
    for name, spec in backbone.layers.items():
        shape = tuple(found[name].shape)
        expect(shape == (2, spec.dim), f"{name} of pooled regions: {shape}, expected {(2, spec.dim)}")


@torch.no_grad()
def map_takes_any_image_size(make: Any) -> None:
    """Three strides more in height, one in width."""
    backbone, _ = _new(make)
    height, width = backbone.input_size + 3 * backbone.stride, backbone.input_size + backbone.stride
    shape = tuple(backbone.map(torch.zeros(1, 3, height, width)).shape[2:])
    expected = (backbone.map_size[0] + 3, backbone.map_size[1] + 1)
    expect(shape == expected, f"map of {height} x {width} pixels has {shape} cells, expected {expected}")


def the_map_lies_within_the_crop(make: Any) -> None:
    """By ``origin_of`` and ``stride``."""
    backbone, _ = _new(make)
    first = backbone.origin_of(backbone.input_size)
    last = first + backbone.stride * (backbone.map_size[0] - 1)
    inside = 0 < first <= last < backbone.input_size
    expect(inside, f"cells from {first} to {last} in a crop of {backbone.input_size} pixels")


@torch.no_grad()
def a_row_does_not_depend_on_its_neighbours(make: Any) -> None:
    """In eval mode."""
    backbone, crops = _new(make)
    last = backbone.last_layer
    out, swapped = (backbone(x, [last])[last] for x in (crops, crops.flip(0)))
    expect_same(out, swapped.flip(0), "crops in another order")
    alone = backbone(crops[:1], [last])[last]
    close = torch.allclose(alone, out[:1], rtol=1e-3, atol=1e-4)
    expect(close, f"{last} of a crop alone is not that of the crop among others")


def gradients_reach_every_parameter(make: Any) -> None:
    """From a head on the last layer."""
    backbone, crops = _new(make)
    last = backbone.last_layer
    loss = nn.Linear(backbone.layers[last].dim, 3)(backbone(crops, [last])[last]).square().sum()
    names, parameters = zip(*backbone.named_parameters(), strict=True)
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    without = [name for name, gradient in zip(names, gradients, strict=True) if gradient is None]
    expect(not without, f"no gradient reaches {', '.join(without)}")


@torch.no_grad()
def parameters_stand_in_the_order_of_the_forward_pass(make: Any) -> None:
    """So that FINETUNE.TUNE_FROM freezes what lies before a layer."""
    backbone, crops = _new(make)
    layers = {name: m for name, m in backbone.named_modules() if list(m.parameters(recurse=False))}
    ran: list[str] = []
    hooks = [m.register_forward_pre_hook(lambda *_, name=name: ran.append(name)) for name, m in layers.items()]
    backbone(crops, [backbone.last_layer])
    for hook in hooks:
        hook.remove()
    found = list(dict.fromkeys(ran))
    expect(found == list(layers), f"modules run in the order {found}, but are registered as {list(layers)}")


def preprocessing_fits_the_crop(make: Any) -> None:
    """uint8 RGB in, float32 out."""
    backbone, crops = _new(make)
    pixels = torch.randint(0, 256, (2, backbone.input_size, backbone.input_size, 3), dtype=torch.uint8)
    found = backbone.preprocessing(pixels)
    fits = found.shape == crops.shape and found.dtype == torch.float32
    expect(fits, f"preprocessing gave {found.dtype} {tuple(found.shape)}, expected float32 {tuple(crops.shape)}")


def it_can_be_made_without_numbers(make: Any) -> None:
    """On torch's device "meta", as plans do."""
    backbone, _ = _new(make)
    with torch.device("meta"):
        empty = make()
    same = empty.layers == backbone.layers and empty.map_size == backbone.map_size
    expect(same, "made on the device meta it has other layers or another map_size")


def saved_weights_come_back(make: Any) -> None:
    """To the bit."""
    backbone, _ = _new(make)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "net.safetensors"
        save_weights(file, backbone)
        with torch.device("meta"):
            other = make()
        other = other.to_empty(device="cpu")
        load_weights(other, str(file))
    state = other.state_dict()
    for name, tensor in backbone.state_dict().items():
        expect_same(tensor, state[name], f"{name} read back")


CHECKS = (
    layers_have_the_promised_shapes,
    forward_is_advance_of_the_map,
    advance_is_the_own_pooling_and_what_follows_it,
    pooled_regions_take_the_place_of_the_own_pooling,
    map_takes_any_image_size,
    the_map_lies_within_the_crop,
    a_row_does_not_depend_on_its_neighbours,
    gradients_reach_every_parameter,
    parameters_stand_in_the_order_of_the_forward_pass,
    preprocessing_fits_the_crop,
    it_can_be_made_without_numbers,
    saved_weights_come_back,
)
