from __future__ import annotations

import torch

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


def test_mean_colour_of_a_mean_image_is_its_average():
    form = Preprocessing.of("BGR", 2.0, torch.arange(12.0).reshape(3, 2, 2).numpy(), (1, 2, 3)).without_position()
    assert form.mean.tolist() == [1.5, 5.5, 9.5]
    assert (form.order, form.scale, form.std.tolist()) == ("BGR", 2.0, [1, 2, 3])
    assert form.without_position().mean.tolist() == [1.5, 5.5, 9.5]
