from __future__ import annotations

import numpy as np
import pytest
import torch

from detkit.backbones.preprocessing import Preprocessing
from detkit.backbones.tiny import TinyNet
from detkit.errors import ConfigError
from detkit.regions.warp import warp_crops, warp_windows
from detkit.regions.warped_crops import WarpedCrops
from detkit.structures import Boxes


def some_boxes(num, seed=0):
    corners = np.random.default_rng(seed).uniform(0, 1, (num, 2, 2)) * (70, 50)
    return Boxes.of(np.hstack([corners.min(1), corners.max(1) + 2]))


def no_flips(boxes):
    return np.zeros(len(boxes), bool)


class Spy(TinyNet):
    """Keeps the input of each pass."""

    def __init__(self, **settings):
        super().__init__(**settings)
        self.seen = []

    def forward(self, crops, layers):
        self.seen.append(crops)
        return super().forward(crops, layers)


def test_prepared_crops_are_bytes_by_default(image):
    prepared = WarpedCrops(input_size=32, padding=4).prepare(image, some_boxes(3), np.zeros(3, bool))
    assert prepared["crops"].shape == (3, 32, 32, 3) and prepared["crops"].dtype == np.uint8
    assert prepared["valid"].shape == (3, 4) and prepared["valid"].dtype == np.int16


def test_fractional_boxes_reach_the_warp_as_they_are(image):
    boxes = Boxes.of([[10.4, 5.2, 30.4, 25.2]])
    prepared = WarpedCrops(input_size=32, padding=4).prepare(image, boxes, np.zeros(1, bool))
    for sides, same in ((boxes.numpy(), True), (boxes.numpy().round(), False)):
        expected, _ = warp_crops(image, warp_windows(sides, (60, 80), 32, 4), np.zeros(1, bool), 32)
        assert np.array_equal(prepared["crops"], expected) == same


def test_float_pixels_differ_by_less_than_a_grey_level(image):
    boxes = some_boxes(5)
    rounded, exact = (
        WarpedCrops(input_size=32, padding=4, feature_pixels=p).prepare(image, boxes, no_flips(boxes))["crops"]
        for p in ("uint8", "float32")
    )
    assert 0 < np.abs(rounded - exact).max() <= 1


def test_the_released_code_tunes_on_whole_grey_levels_and_takes_features_of_fractions(image):
    # one region of a third of its crop's side, so that most pixels of the crop lie between grey levels
    boxes, coarse = Boxes.of([[20, 10, 30, 20]]), WarpedCrops(input_size=32, padding=4)
    extractor = WarpedCrops(input_size=32, padding=4, finetune_pixels="uint8", feature_pixels="float32")
    taken, tuned, whole = (
        e.prepare(image, boxes, no_flips(boxes))["crops"] for e in (extractor, extractor.for_training(), coarse)
    )
    assert np.array_equal(tuned, whole) and tuned.dtype == np.uint8
    assert taken.dtype == np.float32 and (taken % 1 != 0).mean() > 0.5


def test_pixels_of_fine_tuning_change_no_feature(image):
    boxes = some_boxes(3)
    extractor = WarpedCrops(input_size=32, padding=4, finetune_pixels="float32")
    assert extractor.for_training().prepare(image, boxes, no_flips(boxes))["crops"].dtype == np.float32
    assert extractor.prepare(image, boxes, no_flips(boxes))["crops"].dtype == np.uint8


def test_pixels_of_fine_tuning_are_made_where_the_network_runs(backbone, image):
    boxes = some_boxes(3)
    extractor = WarpedCrops(input_size=32, padding=4, feature_pixels="float32").for_training()
    expected = extractor.forward(backbone, [extractor.prepare(image, boxes, no_flips(boxes))], ["pool5"])["pool5"]
    extractor.run_on(torch.device("cuda"))
    found = extractor.forward(backbone, [extractor.prepare(image, boxes, no_flips(boxes))], ["pool5"])["pool5"]
    torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02)


@pytest.mark.parametrize("mode", ["warp", "square"])
@pytest.mark.parametrize("context", [True, False])
def test_image_of_the_mean_colour_gives_zero_input_everywhere(mode, context):
    # Inside the image a pixel equals the mean, outside the input is 0 by definition.
    backbone = Spy(input_size=32, width=4, fc_dim=8).eval()
    backbone.preprocessing = Preprocessing.of("BGR", 1.0, (30, 60, 90), (1, 1, 1))
    extractor = WarpedCrops(input_size=32, padding=4, mode=mode, context=context)
    boxes = Boxes.of([[0, 0, 80, 60], [70, 50, 80, 60], [10, 10, 40, 20]])
    image = np.broadcast_to(np.array([90, 60, 30], np.uint8), (60, 80, 3))
    extractor.forward(backbone, [extractor.prepare(image, boxes, np.array([False, True, False]))], ["fc7"])
    assert backbone.seen[0].shape == (3, 3, 32, 32)
    assert not backbone.seen[0].any()


def test_pixels_outside_the_image_are_zero_whatever_the_mean(image):
    backbone = Spy(input_size=32, width=4, fc_dim=8).eval()
    extractor = WarpedCrops(input_size=32, padding=8)
    extractor.forward(backbone, [extractor.prepare(image, Boxes.of([[0, 0, 80, 60]]), np.array([False]))], ["fc7"])
    (x,) = backbone.seen[0]
    # 8 px of context at the left of the crop lie beyond the image
    assert not x[:, :, :8].any() and x[:, 8:24, 8:24].abs().min() > 0


def test_mean_image_is_taken_off_at_the_place_in_the_crop():
    # The whole image fills the rows and columns 8 to 23 of the crop, and those lose the mean of rows and columns 8 to
    # 23; the mirrored crop loses the same, not a mirrored mean.
    mean = np.random.default_rng(0).uniform(0, 255, (3, 32, 32)).astype(np.float32)
    backbone = Spy(input_size=32, width=4, fc_dim=8).eval()
    backbone.preprocessing = Preprocessing.of("BGR", 1.0, mean, (1, 1, 1))
    extractor = WarpedCrops(input_size=32, padding=8)
    image = np.full((60, 80, 3), 100, np.uint8)
    boxes = Boxes.of([[0, 0, 80, 60], [0, 0, 80, 60]])
    extractor.forward(backbone, [extractor.prepare(image, boxes, np.array([False, True]))], ["fc7"])
    expected = np.zeros((3, 32, 32), np.float32)
    expected[:, 8:24, 8:24] = 100 - mean[:, 8:24, 8:24]
    for x in backbone.seen[0]:
        np.testing.assert_allclose(x, expected, atol=1e-4)


def test_rows_follow_the_images_in_order(backbone, image):
    extractor = WarpedCrops(input_size=32, padding=4)
    boxes = some_boxes(7)
    parts = [boxes[:2], boxes[2:2], boxes[2:]]
    inputs = [extractor.prepare(image, b, no_flips(b)) for b in parts]
    whole = extractor.forward(backbone, [extractor.prepare(image, boxes, no_flips(boxes))], ["pool5", "fc7"], pad_to=4)
    joined = extractor.forward(backbone, inputs, ["pool5", "fc7"], pad_to=4)
    for name, rows in whole.items():
        assert rows.shape == (7, backbone.layers[name].dim)
        assert torch.equal(joined[name], rows)


def test_every_pass_has_the_padded_number_of_rows(image):
    backbone = Spy(input_size=32, width=4, fc_dim=8).eval()
    extractor = WarpedCrops(input_size=32, padding=4)
    boxes = some_boxes(9)
    out = extractor.forward(backbone, [extractor.prepare(image, boxes, no_flips(boxes))], ["fc7"], pad_to=4)
    assert [len(x) for x in backbone.seen] == [4, 4, 4]
    assert out["fc7"].shape == (9, 8)
    assert all(x.is_contiguous(memory_format=torch.channels_last) for x in backbone.seen)


def test_same_crop_gives_the_same_bits_beside_any_neighbours(backbone, image):
    extractor = WarpedCrops(input_size=32, padding=4)
    boxes = some_boxes(16)
    out = extractor.forward(backbone, [extractor.prepare(image, boxes, no_flips(boxes))], ["fc7"], pad_to=16)["fc7"]
    order = np.random.default_rng(1).permutation(16)
    shuffled = extractor.forward(
        backbone, [extractor.prepare(image, boxes[torch.from_numpy(order)], no_flips(boxes))], ["fc7"], pad_to=16
    )
    alone = extractor.forward(backbone, [extractor.prepare(image, boxes[5], np.array([False]))], ["fc7"], pad_to=16)
    assert torch.equal(shuffled["fc7"], out[order])
    assert torch.equal(alone["fc7"][0], out[5])


def test_no_regions_give_no_rows(backbone, image):
    extractor = WarpedCrops(input_size=32, padding=4)
    empty = extractor.prepare(image, Boxes.of([]), np.zeros(0, bool))
    for inputs in ([], [empty], [empty, empty]):
        assert extractor.forward(backbone, inputs, ["fc7"])["fc7"].shape == (0, 16)


def test_gradients_reach_the_first_convolution(backbone, image):
    extractor = WarpedCrops(input_size=32, padding=4)
    boxes = some_boxes(5)
    out = extractor.forward(backbone.train(), [extractor.prepare(image, boxes, no_flips(boxes))], ["fc7"], pad_to=4)
    out["fc7"].sum().backward()
    assert backbone.conv1.weight.grad.abs().sum() > 0


def test_mirrored_region_equals_the_region_of_the_mirrored_image(backbone, image):
    # Symmetric boxes only: the released code rounds the left and right edge of the window differently.
    extractor = WarpedCrops(input_size=32, padding=0)
    boxes = Boxes.of([[10, 5, 50, 45]])
    flipped = extractor.prepare(image, boxes, np.array([True]))
    mirrored = extractor.prepare(np.ascontiguousarray(image[:, ::-1]), boxes.flip(80), np.array([False]))
    assert np.abs(flipped["crops"].astype(int) - mirrored["crops"]).max() <= 1


def test_padding_that_leaves_no_region_is_refused():
    with pytest.raises(ConfigError, match=r"PADDING: 16 on both .* a crop of 32.*0 to 15, or null for 2"):
        WarpedCrops(input_size=32, padding=16)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_what_is_shown_of_a_region_is_the_crop_that_the_network_gets(image, device):
    box = Boxes.of([[-1, 10, 30, 40]])
    extractor = WarpedCrops(input_size=32, padding=4)
    expected = extractor.prepare(image, box, no_flips(box))
    extractor.run_on(torch.device(device))  # a GPU is handed the image and warps itself
    view = extractor.view(image, box)
    assert view.is_crop and (view.pixels == expected["crops"][0]).all()
    assert view.area.tolist() == expected["valid"][0].tolist()
    # 31 by 30 pixels around (15, 25.5), with 4 of 32 on each side: 20.7 and 20 from there, beyond the image on the left
    assert view.window.tolist() == [-6, 5, 36, 46]
