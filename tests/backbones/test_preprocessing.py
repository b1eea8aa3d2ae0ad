from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from detkit.backbones import pieces
from detkit.backbones.preprocessing import Preprocessing


def test_channels_scale_mean_and_std_are_applied_in_this_order():
    # BGR: 30, 20, 10; halved 15, 10, 5; less the mean 14, 8, 2; by the std 14, 4, 1
    form = Preprocessing.of("BGR", 0.5, (1, 2, 3), (1, 2, 2))
    pixel = torch.tensor([[[[10, 20, 30]]]], dtype=torch.uint8)
    assert form(pixel).flatten().tolist() == [14, 4, 1]
    assert torch.equal(form(pixel.float()), form(pixel))


def test_mean_image_is_taken_off_pixel_by_pixel():
    mean = torch.arange(12.0).reshape(3, 2, 2)
    found = Preprocessing.of("RGB", 1.0, mean.numpy(), (1, 1, 1))(mean.permute(1, 2, 0)[None])
    assert not found.any()


def test_input_outside_the_valid_rectangle_is_zero():
    form = Preprocessing.of("RGB", 1.0, (1, 1, 1), (1, 1, 1))
    found = form(torch.full((2, 3, 4, 3), 5, dtype=torch.uint8), torch.tensor([[1, 0, 3, 2], [0, 0, 0, 0]]))
    assert found[0, 0].tolist() == [[0, 4, 4, 0], [0, 4, 4, 0], [0, 0, 0, 0]]
    assert not found[1].any()


@pytest.mark.parametrize("mean", [(104.0, 116.6, 122.7), np.random.default_rng(0).uniform(0, 255, (3, 6, 6))])
@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_images_in_pieces_give_bit_by_bit_what_the_formula_gives(order, mean, monkeypatch):
    form = Preprocessing.of(order, 1 / 255, mean, (0.229, 0.5, 57.1))
    pixels = torch.randint(0, 256, (5, 6, 6, 3), dtype=torch.uint8)
    valid = torch.tensor([[0, 0, 6, 6], [1, 2, 4, 6], [0, 0, 0, 0], [5, 0, 6, 3], [0, 3, 6, 4]])
    planes = pixels.permute(0, 3, 1, 2)[:, [0, 1, 2] if order == "RGB" else [2, 1, 0]]
    expected = planes.float() * (1 / 255) - form.mean.reshape(3, *form.mean.shape[1:] or (1, 1))
    expected /= form.std[:, None, None]
    for crop, (x1, y1, x2, y2) in zip(expected, valid.tolist(), strict=True):
        outside = torch.ones(6, 6, dtype=torch.bool)
        outside[y1:y2, x1:x2] = False
        crop[:, outside] = 0
    monkeypatch.setattr(pieces, "PIECE_NUMBERS", 2 * 6 * 6 * 3)
    assert torch.equal(form(pixels, valid), expected)
    assert torch.equal(replace(form, dtype=torch.bfloat16)(pixels, valid), expected.bfloat16())


def test_input_is_channels_last_and_its_pixels_are_left_alone():
    pixels = torch.full((2, 4, 5, 3), 7.0)
    found = Preprocessing.of("BGR", 2.0, (1, 2, 3), (1, 1, 1))(pixels)
    assert found.shape == (2, 3, 4, 5)
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert (pixels == 7).all()


def test_mean_colour_of_a_mean_image_is_its_average():
    form = Preprocessing.of("BGR", 2.0, torch.arange(12.0).reshape(3, 2, 2).numpy(), (1, 2, 3)).without_position()
    assert form.mean.tolist() == [1.5, 5.5, 9.5]
    assert (form.order, form.scale, form.std.tolist()) == ("BGR", 2.0, [1, 2, 3])
    assert form.without_position().mean.tolist() == [1.5, 5.5, 9.5]
