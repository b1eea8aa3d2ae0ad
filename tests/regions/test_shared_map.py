from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from detkit.backbones.base import Backbone, LayerSpec
from detkit.backbones.preprocessing import Preprocessing
from detkit.backbones.tiny import TinyNet
from detkit.backbones.torchvision_nets import TorchvisionBackbone
from detkit.errors import ConfigError
from detkit.regions.shared_map import SharedMap
from detkit.regions.warped_crops import WarpedCrops
from detkit.structures import Boxes


class MeanOfFive(Backbone):
    """Each cell is the mean of 5 x 5 pixels, every 4 pixels: the first is centred on 2.5, the last of 29 px on 26.5."""

    def __init__(self):
        super().__init__()
        self.input_size, self.stride, self.map_origin = 29, 4, 2.5
        self.map_size, self.map_channels = (7, 7), 3
        self.layers = {"pool5": LayerSpec((3, 7, 7))}
        self.preprocessing = Preprocessing.of("RGB", 1.0, (0, 0, 0), (1, 1, 1))
        self.gain = nn.Parameter(torch.ones(()))
        self.maps_made = 0

    def map(self, images):
        self.maps_made += len(images)
        return F.avg_pool2d(images, 5, stride=4) * self.gain

    def after_pool(self, pooled, layers):
        return {"pool5": pooled.flatten(1)}


def unscaled(image, input_size, padding=2, **settings):
    sides = {"short_sides": (min(image.shape[:2]),), "long_side": max(image.shape[:2])}
    return SharedMap(input_size=input_size, padding=padding, **sides, **settings)


def pooled(extractor, backbone, image, boxes, flips=None):
    flips = np.zeros(len(boxes), bool) if flips is None else np.array(flips)
    out = extractor.forward(backbone, [extractor.prepare(image, boxes, flips)], ["pool5"])["pool5"]
    return out.detach().reshape(len(boxes), *backbone.layers["pool5"].shape)


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (101, 141, 3), dtype=np.uint8)


def test_bins_stand_on_the_pixels_of_a_crops_cells():
    # Every pixel holds its own column and row, so a cell's value is where it is; pixel 0 is centred on 0.5.
    ys, xs = np.mgrid[:100, :200]
    ramps = np.stack([xs, ys, xs], 2).astype(np.uint8)
    box = (30.0, 20.0, 150.0, 80.0)
    centres = (2.5 + 4 * np.arange(7)) / 29
    for sampling_ratio in (0, 1, 3):
        extractor = unscaled(ramps, 29, padding=0, sampling_ratio=sampling_ratio)
        ((x, y, _),) = pooled(extractor, MeanOfFive(), ramps, Boxes.of([box]))
        np.testing.assert_allclose(x[3], 30 + centres * 120 - 0.5, atol=1e-3)
        np.testing.assert_allclose(y[:, 3], 20 + centres * 60 - 0.5, atol=1e-3)


def test_padding_widens_the_window_as_in_a_warped_crop():
    # 29 px with 2 px on either side: 25 of 29 are the region, whose 75 px become 87 from 24 on
    ys, xs = np.mgrid[:100, :200]
    ramps = np.stack([xs, ys, xs], 2).astype(np.uint8)
    extractor = unscaled(ramps, 29, padding=2)
    ((x, _, _),) = pooled(extractor, MeanOfFive(), ramps, Boxes.of([[30, 10, 105, 85]]))
    np.testing.assert_allclose(x[3], 24 + 3 * (2.5 + 4 * np.arange(7)) - 0.5, atol=1e-3)


def test_region_of_the_crops_own_size_equals_its_warped_crop(image):
    backbone, boxes = MeanOfFive(), Boxes.of([[8, 4, 37, 33], [40, 60, 69, 89]])
    shared = pooled(unscaled(image, 29, padding=0, sampling_ratio=1), backbone, image, boxes)
    warped = pooled(WarpedCrops(input_size=29, padding=0), backbone, image, boxes)
    torch.testing.assert_close(shared, warped, atol=1e-3, rtol=0)


def test_inner_cells_of_a_padded_network_equal_those_of_the_crop(image):
    torch.manual_seed(0)
    backbone = TinyNet(input_size=48, width=8, fc_dim=8).eval()
    boxes = Boxes.of([[40, 24, 88, 72]])
    shared = pooled(unscaled(image, 48, padding=0, sampling_ratio=1), backbone, image, boxes)
    warped = pooled(WarpedCrops(input_size=48, padding=0), backbone, image, boxes)
    # up to 4 of 12 cells at each side see the border of the crop; 2 x 2 cells are pooled into one
    torch.testing.assert_close(shared[..., 2:4, 2:4], warped[..., 2:4, 2:4], atol=1e-4, rtol=1e-4)


def test_mirrored_regions_equal_regions_of_the_mirrored_image(image):
    backbone, boxes = MeanOfFive(), Boxes.of([[8, 4, 37, 33], [40, 60, 90, 89], [3, 3, 80, 99]])
    extractor = unscaled(image, 29)
    mixed = pooled(extractor, backbone, image, boxes, [True, False, True])
    mirrored = pooled(extractor, backbone, np.ascontiguousarray(image[:, ::-1]), boxes.flip(141))
    plain = pooled(extractor, backbone, image, boxes)
    torch.testing.assert_close(mixed, torch.stack([mirrored[0], plain[1], mirrored[2]]), atol=1e-3, rtol=0)


@pytest.mark.parametrize("flips, maps", [([False] * 3, 1), ([False, True, False], 2)])
def test_image_is_convolved_once_for_all_its_regions(image, flips, maps):
    backbone = MeanOfFive()
    pooled(unscaled(image, 29), backbone, image, Boxes.of([[8, 4, 37, 33]] * 3), flips)
    assert backbone.maps_made == maps


@pytest.mark.parametrize(
    "size, scaled",
    [((300, 400), (600, 800)), ((1200, 1600), (600, 800)), ((100, 400), (250, 1000)), ((600, 600), (600, 600))],
)
def test_image_is_scaled_to_the_short_side_unless_the_long_one_forbids(size, scaled):
    some = Boxes.of([[0, 0, 9, 9]])
    extractor = SharedMap(input_size=227, short_sides=(600,), long_side=1000)
    prepared = extractor.prepare(np.zeros((*size, 3), np.uint8), some, np.zeros(1, bool))
    assert prepared["image0"].shape == (*scaled, 3)


def test_windows_scale_with_the_image():
    # 195 -> 227 px around the centre, then twice: 16 px of context become 32
    prepared = SharedMap(input_size=227, short_sides=(600,)).prepare(
        np.zeros((300, 400, 3), np.uint8), Boxes.of([[100, 100, 295, 295]]), np.zeros(1, bool)
    )
    np.testing.assert_allclose(prepared["areas"], [[168, 168, 622, 622]], atol=1e-3)


def test_scales_follow_the_crop_unless_they_are_given():
    assert SharedMap(input_size=227).short_sides == (182, 272, 409, 613, 919)
    assert SharedMap(input_size=100).short_sides == (80, 120, 180, 270, 405)
    assert SharedMap(input_size=100).long_side == 608 and SharedMap(input_size=100, short_sides=(9, 7)).long_side == 14
    assert SharedMap(input_size=100, long_side=405).long_side == 405


def test_each_region_takes_the_scale_in_which_it_has_nearest_to_a_crops_pixels():
    # 227 x 227 = 51,529. With context a region of 195 px has 227; in the three scales 113, 227 and 454 px a side.
    extractor = SharedMap(input_size=227, short_sides=(150, 300, 600))
    boxes = Boxes.of([[0, 0, side, side] for side in (195, 60, 290, 98)] + [[0, 0, 390, 97.5]])
    prepared = extractor.prepare(np.zeros((300, 400, 3), np.uint8), boxes, np.zeros(5, bool))
    # 60: 35, 70, 140 px; 290: 169, 338, 675 px, of which 28,493 is nearer than 113,964; 98: 57, 114, 228 px
    assert prepared["scale"].tolist() == [1, 2, 0, 2, 1]
    assert [prepared[f"image{s}"].shape[:2] for s in range(3)] == [(150, 200), (300, 400), (600, 800)]
    widths = prepared["areas"][:, 2] - prepared["areas"][:, 0]
    np.testing.assert_allclose(widths, np.array([195, 120, 145, 196, 390]) * 227 / 195, rtol=1e-6)


def test_regions_of_several_scales_come_back_in_their_order(image):
    torch.manual_seed(0)
    backbone = TinyNet(input_size=32, width=8, fc_dim=16).eval()
    several = SharedMap(input_size=32, padding=4, short_sides=(40, 80), long_side=400)
    boxes = Boxes.of([[10, 10, 20, 20], [5, 5, 60, 60], [12, 10, 22, 22], [0, 0, 70, 50]])
    flips = np.array([False, True, True, False])
    prepared = several.prepare(image, boxes, flips)
    assert prepared["scale"].tolist() == [1, 0, 1, 0]
    found = several.forward(backbone, [prepared], ["pool5", "fc7"], pad_to=4)
    for row, scale in enumerate(prepared["scale"]):
        one = SharedMap(input_size=32, padding=4, short_sides=((40, 80)[scale],), long_side=400)
        alone = one.forward(backbone, [one.prepare(image, boxes[[row]], flips[[row]])], ["pool5", "fc7"], pad_to=4)
        for layer in ("pool5", "fc7"):
            torch.testing.assert_close(found[layer][row], alone[layer][0])


def test_result_of_a_region_does_not_depend_on_its_neighbours(image):
    torch.manual_seed(0)
    backbone = TinyNet(input_size=32, width=8, fc_dim=16).eval()
    extractor = unscaled(image, 32, padding=4)
    boxes = Boxes.of([[5 * i, 2 * i, 5 * i + 60, 2 * i + 40] for i in range(8)])
    inputs = extractor.prepare(image, boxes, np.zeros(8, bool))
    alone = extractor.prepare(image, boxes[3], np.zeros(1, bool))
    out = extractor.forward(backbone, [inputs, alone], ["fc7"], pad_to=8)["fc7"]
    assert out.shape == (9, 16)
    assert torch.equal(out[8], out[3])


def test_image_narrower_than_a_crop_is_filled_up():
    strip = np.random.default_rng(0).integers(0, 256, (4, 90, 3), dtype=np.uint8)
    backbone, boxes = MeanOfFive(), Boxes.of([[10, 0, 50, 4]])
    plain, mirrored = pooled(unscaled(strip, 29), backbone, strip, boxes[[0, 0]], [False, True])
    other = pooled(unscaled(strip, 29), backbone, np.ascontiguousarray(strip[:, ::-1]), boxes.flip(90))[0]
    torch.testing.assert_close(mirrored, other, atol=1e-3, rtol=0)
    assert plain.abs().sum() > 0


def test_no_regions_give_no_rows_and_no_convolution(image):
    backbone, extractor = MeanOfFive(), unscaled(image, 29)
    empty = extractor.prepare(image, Boxes.of([]), np.zeros(0, bool))
    assert extractor.forward(backbone, [empty, empty], ["pool5"])["pool5"].shape == (0, 147)
    assert extractor.forward(backbone, [], ["pool5"])["pool5"].shape == (0, 147)
    assert backbone.maps_made == 0


def test_gradients_reach_the_first_convolution(image):
    backbone = TinyNet(input_size=32, width=8, fc_dim=16)
    extractor = unscaled(image, 32, padding=4)
    inputs = extractor.prepare(image, Boxes.of([[5, 5, 60, 60]] * 2), np.array([False, True]))
    extractor.forward(backbone, [inputs], ["fc7"])["fc7"].sum().backward()
    assert backbone.conv1.weight.grad.abs().sum() > 0


def test_mean_image_counts_as_its_mean_colour(image):
    plain, by_position = MeanOfFive(), MeanOfFive()
    plain.preprocessing = Preprocessing.of("RGB", 1.0, (1, 2, 3), (1, 1, 1))
    spread = np.arange(1, 4)[:, None, None] + np.linspace(-1, 1, 29)[None, :, None] * np.ones((1, 1, 29))
    by_position.preprocessing = Preprocessing.of("RGB", 1.0, spread, (1, 1, 1))
    boxes = Boxes.of([[8, 4, 37, 33]])
    results = [pooled(unscaled(image, 29), b, image, boxes) for b in (plain, by_position)]
    torch.testing.assert_close(*results, atol=1e-3, rtol=0)


def test_impossible_settings_are_refused():
    with pytest.raises(ConfigError, match=r"SharedMap.PADDING: 16 .* crop of 32 pixels; allowed: 0 to 15"):
        SharedMap(input_size=32, padding=16)
    with pytest.raises(
        ConfigError, match=r"SharedMap.LONG_SIDE: 500 is less than 600 of SHORT_SIDES; allowed: 600 or more, or 0"
    ):
        SharedMap(input_size=227, short_sides=(300, 600), long_side=500)


@pytest.mark.parametrize("layers", [["pool5"], ["final"], ["pool5", "final"]])
def test_networks_that_average_the_map_get_the_averages_of_all_its_bins(image, layers):
    torch.manual_seed(0)
    backbone = TorchvisionBackbone(arch="squeezenet1_1", input_size=96).eval()
    extractor = SharedMap(input_size=96, padding=4, short_sides=(150,))
    inputs = extractor.prepare(image, Boxes.of([[10, 10, 70, 60], [0, 30, 140, 90]]), np.array([False, True]))
    found = extractor.forward(backbone, [inputs], layers)
    backbone.takes_any_map = False  # so that every bin is pooled, and after_pool averages
    torch.testing.assert_close(found, extractor.forward(backbone, [inputs], layers), atol=1e-5, rtol=1e-4)
    assert found["final" if layers == ["final"] else "pool5"].std() > 0
