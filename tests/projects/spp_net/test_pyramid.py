"""The extractor against slow loops, torch's own pooling and corners that were worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from detkit.backbones.base import Backbone, LayerSpec
from detkit.backbones.preprocessing import Preprocessing
from detkit.backbones.tiny import TinyNet
from detkit.backbones.torchvision_nets import TorchvisionBackbone
from detkit.config import load_config
from detkit.errors import ConfigError
from detkit.registry import REGION_EXTRACTORS
from detkit.structures import Boxes
from detkit.testing import check_component

load_config("projects/spp_net/quick.yaml")
SpatialPyramid = REGION_EXTRACTORS.get("SpatialPyramid")
LEVELS = (1, 2, 3, 6)


class Maps(Backbone):
    """A map of random numbers from 0 to 1, larger in larger images; its first cell is centred on ``origin``."""

    def __init__(self, stride=16, origin=20.5, levels=LEVELS):
        super().__init__()
        self.input_size, self.stride, self.map_origin = 224, stride, origin
        self.map_size, self.map_channels, self.levels = (13, 13), 3, levels
        self.layers = {"pool5": LayerSpec((3, sum(n * n for n in levels), 1) if levels else (3, 6, 6))}
        self.preprocessing = Preprocessing.of("RGB", 1.0, (0, 0, 0), (1, 1, 1))
        self.gain = nn.Parameter(torch.ones(()))

    def map(self, images):
        size = [side // self.stride for side in images.shape[2:]]
        return torch.rand(len(images), 3, *size, generator=torch.Generator().manual_seed(0)) * self.gain

    def after_pool(self, pooled, layers):
        return {"pool5": pooled.flatten(1)}


@pytest.mark.parametrize("settings", [{}, {"nearest_by": "side", "short_sides": (60, 90), "margin": 0.0}])
def test_the_extractor_keeps_what_extractors_promise(settings):
    check_component(SpatialPyramid, **settings)


def cells_of(one_based, size=(99, 99), **settings):
    """First and last cell, counted from 1, of (x1, y1, x2, y2) in pixels counted from 1."""
    return cells_of_each([one_based], size, **settings)[0]


def cells_of_each(one_based, size, **settings):
    """The same of several regions."""
    pixels = torch.tensor(one_based, dtype=torch.float32) - 1
    return (SpatialPyramid(input_size=224, **settings).cells(Maps(), pixels, size) + 1).long().tolist()


@pytest.mark.parametrize(
    ("pixels", "cells"),
    [
        ((1, 224), (1, 13)),  # (1 - 14.5) / 16 + 0.5 = -0.34, so 0 becomes 1; (224 - 27.5) / 16 - 0.5 = 11.8, so 13
        ((100, 300), (6, 18)),  # 5.8, so 6; 16.5, so 18
        ((100, 107), (6, 6)),  # 5.8, so 6; 4.5, so 6
        ((190, 194), (11, 11)),  # 11.5, so 12; 9.9, so 11: they have crossed, and 11.5 is cut off to 11
    ],
)
def test_corners_are_the_released_codes(pixels, cells):
    assert cells_of((pixels[0], 1, pixels[1], 224))[::2] == [*cells]


def test_corners_are_those_of_the_formula_everywhere():
    # Counted from 1, cell 1 is centred on pixel 21, and 6.5 = 8 - 1.5.
    rng = np.random.default_rng(0)
    seen = set()
    ends = np.sort(rng.integers(1, 1201, (4000, 2)), 1).tolist()
    found = cells_of_each([(x1, 1, x2, 9) for x1, x2 in ends], (80, 70))
    for (x1, x2), cells in zip(ends, found, strict=True):
        low = math.floor((x1 - 21 + 6.5) / 16 + 0.5) + 1
        high = math.ceil((x2 - 21 - 6.5) / 16 - 0.5) + 1
        if low > high:
            seen.add("crossed")
            low = high = int((low + high) / 2)
        assert cells[::2] == [min(max(low, 1), 70), min(max(high, 1), 70)], (x1, x2)
    assert seen == {"crossed"}


def test_without_a_margin_corners_are_the_papers():
    # Cell i is centred on pixel 16 i, both counted from 0: floor(x / 16) + 1 and ceil(x / 16) - 1.
    extractor, backbone = SpatialPyramid(input_size=224, margin=0.0), Maps(origin=0.5)
    for x1, x2 in ((0, 223), (99, 299), (16, 64), (15, 65)):
        found = extractor.cells(backbone, torch.tensor([[x1, x1, x2, x2]], dtype=torch.float32), (99, 99))
        assert found[0].tolist() == [x1 // 16 + 1, x1 // 16 + 1, -(-x2 // 16) - 1, -(-x2 // 16) - 1]


def test_corners_are_clamped_to_the_map():
    assert cells_of((1, 1, 1200, 900), (10, 12)) == [1, 1, 12, 10]
    assert cells_of((1100, 1100, 1200, 1200), (10, 12)) == [12, 10, 12, 10]


def slow_pyramid(cells, grid, levels):
    """(C, bins) maxima by nested loops; grid (C, h, w), cells first and last x1 y1 x2 y2 counted from 0."""
    x1, y1, x2, y2 = cells
    height, width = y2 - y1 + 1, x2 - x1 + 1
    out = []
    for n in levels:
        for i in range(n):
            for j in range(n):
                rows = range(y1 + math.floor(i * height / n), y1 + math.ceil((i + 1) * height / n))
                columns = range(x1 + math.floor(j * width / n), x1 + math.ceil((j + 1) * width / n))
                out.append([max(float(plane[r, c]) for r in rows for c in columns) for plane in grid])
    return np.array(out).T


@pytest.mark.parametrize("levels", [LEVELS, (6,), (2, 7)])
def test_pooling_equals_a_loop_over_the_cells_of_each_bin(levels):
    rng = np.random.default_rng(0)
    backbone, extractor = Maps(levels=levels), SpatialPyramid(input_size=224)
    maps = torch.rand(2, 3, 40, 60, generator=torch.Generator().manual_seed(1))
    corners = np.sort(rng.uniform(-30, 1000, (40, 2, 2)), 1).reshape(40, 4)
    corners[0] = (300, 200, 300, 200)
    areas = torch.from_numpy(np.column_stack([rng.integers(0, 2, 40), corners]).astype(np.float32))
    found = extractor.pooled(backbone, maps, areas, ["pool5"])["pool5"]
    cells = extractor.cells(backbone, areas[:, 1:], (40, 60)).long().tolist()
    assert len({(c[2] - c[0], c[3] - c[1]) for c in cells}) > 20
    for row, view, own in zip(found, areas[:, 0].long(), cells, strict=True):
        expected = slow_pyramid(own, maps[view].numpy(), levels)
        assert np.array_equal(row.reshape(3, -1).numpy(), expected.astype(np.float32))


def test_pooling_equals_torchs_adaptive_maximum_for_every_length():
    lengths = torch.arange(1, 130)
    maps = torch.rand(1, 3, 4, 130, generator=torch.Generator().manual_seed(2))
    extractor, backbone = SpatialPyramid(input_size=4, margin=0.5), Maps(stride=1, origin=0.5)
    areas = torch.stack([lengths * 0, lengths * 0, lengths * 0, lengths - 1, lengths * 0 + 3], 1).float()
    areas[:, 1:3] += 0.25  # with half a cell of margin, 0.25 to L - 1.25 take the cells 0 to L - 1
    areas[:, 3:] -= 0.25
    cells = extractor.cells(backbone, areas[:, 1:], (4, 130))
    assert torch.equal(cells[:, 2], lengths - 1.0) and not cells[:, :2].any()
    found = extractor.pooled(backbone, maps, areas, ["pool5"])["pool5"]
    for length, row in zip(lengths.tolist(), found, strict=True):
        expected = [F.adaptive_max_pool2d(maps[0, :, :, :length], n).flatten(1) for n in LEVELS]
        assert torch.equal(row.reshape(3, 50), torch.cat(expected, 1))


def test_without_levels_the_pyramid_is_the_networks_own_grid():
    extractor, backbone = SpatialPyramid(input_size=224), Maps(levels=())
    maps, areas = torch.rand(1, 3, 30, 30), torch.tensor([[0, 20.0, 20, 300, 200]])
    six = extractor.pooled(Maps(levels=(6,)), maps, areas, ["pool5"])["pool5"]
    assert torch.equal(extractor.pooled(backbone, maps, areas, ["pool5"])["pool5"], six)


def prepared_of(extractor, boxes, size=(375, 500)):
    boxes = Boxes.of(boxes)
    return extractor.prepare(np.zeros((*size, 3), np.uint8), boxes, np.zeros(len(boxes), bool))


@pytest.mark.parametrize(
    ("settings", "scale"),
    [
        # 100 px become 230 at 864 (52,900 pixels) and 183 at 688; a crop has 224 x 224 = 50,176
        ({}, 864),
        # 208 * 375 / 100 = 780 lies 84 from 864 but 92 from 688; from the code's 874 it lies 94
        ({"nearest_by": "side"}, 864),
        ({"nearest_by": "side", "short_sides": (480, 576, 688, 874, 1200)}, 688),
    ],
)
def test_a_square_of_100_px_takes_the_scale_of_the_rule(settings, scale):
    extractor = SpatialPyramid(input_size=224, **settings)
    (row,) = prepared_of(extractor, [[50, 50, 150, 150]])["scale"]
    assert extractor.short_sides[row] == scale


def test_side_rule_rounds_what_it_looks_for_to_pixels():
    # 208 * 375 / 123.25 = 632.9, or 633; 632.4 and 633 lie on two sides of the middle 632.5 of 577 and 688
    extractor = SpatialPyramid(input_size=224, nearest_by="side", short_sides=(577, 688))
    for side, row in ((208 * 375 / 632.4, 0), (208 * 375 / 632.6, 1)):
        assert prepared_of(extractor, [[0, 0, side, side]])["scale"].tolist() == [row]


def test_published_scales_follow_the_crop():
    assert SpatialPyramid(input_size=224).short_sides == (480, 576, 688, 864, 1200)
    assert SpatialPyramid(input_size=48).short_sides == (103, 123, 147, 185, 257)
    with pytest.raises(ConfigError, match=r"SpatialPyramid.LONG_SIDE: 1000 is less than 1200 of SHORT_SIDES"):
        SpatialPyramid(input_size=224, long_side=1000)


def test_first_and_last_pixels_are_scaled_between_the_ends_of_the_shorter_side():
    # (x - 1) (s - 1) / (m - 1) + 1 counted from 1: with m 375 and s 688, pixel 375 becomes 688 and pixel 1 stays
    extractor = SpatialPyramid(input_size=224, short_sides=(688,))
    found = prepared_of(extractor, [[0, 0, 375, 375], [100, 50, 300, 200]])["areas"]
    np.testing.assert_allclose(found[0], [0, 0, 687, 687], rtol=1e-6)
    np.testing.assert_allclose(found[1], np.array([100, 50, 299, 199]) * 687 / 374, rtol=1e-6)


def test_mirrored_regions_equal_regions_of_the_mirrored_image():
    torch.manual_seed(0)
    image = np.random.default_rng(0).integers(0, 256, (90, 141, 3), dtype=np.uint8)
    backbone = TinyNet(width=8, fc_dim=8, levels=(1, 2)).eval()
    extractor = SpatialPyramid(input_size=48)
    boxes = Boxes.of([[8, 4, 37, 33], [40, 60, 90, 89], [3, 3, 80, 90]])
    both = [(image, boxes, True), (np.ascontiguousarray(image[:, ::-1]), boxes.flip(141), False)]
    with torch.no_grad():
        found = [
            extractor.forward(backbone, [extractor.prepare(i, b, np.full(3, f))], ["pool5"])["pool5"]
            for i, b, f in both
        ]
    torch.testing.assert_close(found[0], found[1], atol=0.05, rtol=0.05)
    assert found[0].std() > 0.3


def test_a_network_that_averages_reads_maxima_in_few_levels():
    torch.manual_seed(0)
    image = np.random.default_rng(0).integers(0, 256, (90, 141, 3), dtype=np.uint8)
    backbone = TorchvisionBackbone(arch="squeezenet1_1", input_size=96, levels=(1, 2)).eval()
    extractor = SpatialPyramid(input_size=96, short_sides=(150,))
    inputs = extractor.prepare(image, Boxes.of([[10, 10, 70, 60], [0, 30, 140, 90]]), np.zeros(2, bool))
    with torch.no_grad():
        found = extractor.forward(backbone, [inputs], ["pool5", "final"])
    bins = found["pool5"].reshape(2, 512, 5)
    assert torch.equal(bins[:, :, 0], bins[:, :, 1:].amax(2))
    torch.testing.assert_close(found["final"], bins.mean(2))


def test_gradients_reach_the_first_convolution():
    backbone, extractor = TinyNet(levels=(1, 2, 3, 6)), SpatialPyramid(input_size=48)
    image = np.random.default_rng(0).integers(0, 256, (90, 141, 3), dtype=np.uint8)
    inputs = extractor.prepare(image, Boxes.of([[5, 5, 60, 60]] * 2), np.array([False, True]))
    extractor.forward(backbone, [inputs], ["fc7"])["fc7"].sum().backward()
    assert backbone.conv1.weight.grad.abs().sum() > 0
