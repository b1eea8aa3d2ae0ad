from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torchvision

from detkit.backbones.base import Backbone, LayerSpec
from detkit.backbones.preprocessing import Preprocessing
from detkit.backbones.tiny import TinyNet
from detkit.errors import ConfigError
from detkit.structures import Boxes


def half_away(x):
    return math.copysign(math.floor(abs(x) + 0.5), x)


def by_hand(cells, box, bins, stride, rounded=half_away, end=0):
    """One region of one (h, w) map, bin by bin."""
    height, width = cells.shape
    x1, y1, x2, y2 = (int(rounded(np.float32(c) / stride)) for c in box)
    out = np.zeros(bins, np.float32)
    for by in range(bins[0]):
        for bx in range(bins[1]):
            spans = []
            for first, last, i, n, length in ((y1, y2, by, bins[0], height), (x1, x2, bx, bins[1], width)):
                size = np.float32(max(last - first + 1 - end, 1)) / np.float32(n)
                low = math.floor(np.float32(i) * size) + first
                high = math.ceil(np.float32(i + 1) * size) + first
                spans.append(range(max(low, 0), min(high, length)))
            values = [cells[y, x] for y in spans[0] for x in spans[1]]
            out[by, bx] = max(values) if values else 0
    return out


@pytest.fixture
def cells():
    return np.random.default_rng(0).normal(size=(23, 31)).astype(np.float32)


@pytest.fixture
def corners():
    """Regions with ends on halves of cells, single cells, inverted ones and such beyond the map."""
    rng = np.random.default_rng(1)
    some = rng.uniform(-60, 560, (120, 4))
    halves = rng.integers(-3, 34, (120, 4)) * 16 + 8
    ordered = np.sort(rng.integers(0, 400, (60, 2, 2)), axis=1).reshape(60, 4)
    return np.concatenate([some, halves, ordered, [[900, 900, 950, 950]]]).astype(np.float32)


def pool(project, cells, corners, bins):
    regions = torch.from_numpy(np.column_stack([np.zeros(len(corners)), corners]).astype(np.float32))
    return project.roi_pool.roi_max_pool(torch.from_numpy(cells)[None, None], regions, bins, 16)[:, 0].numpy()


@pytest.mark.parametrize("bins", [(6, 6), (7, 7), (3, 5)])
def test_pooling_equals_an_independent_loop_and_torchvisions_to_the_bit(project, cells, corners, bins):
    found = pool(project, cells, corners, bins)
    np.testing.assert_array_equal(found, [by_hand(cells, box, bins, 16) for box in corners])
    regions = torch.from_numpy(np.column_stack([np.zeros(len(corners)), corners]).astype(np.float32))
    theirs = torchvision.ops.roi_pool(torch.from_numpy(cells)[None, None], regions, bins, 1 / 16)
    np.testing.assert_array_equal(found, theirs[:, 0].numpy())


@pytest.mark.parametrize("wrong", [{"rounded": np.round}, {"rounded": int}, {"end": 1}])
def test_half_to_even_truncation_and_exclusive_ends_pool_other_cells(project, cells, corners, wrong):
    found = pool(project, cells, corners, (6, 6))
    other = np.array([by_hand(cells, box, (6, 6), 16, **wrong) for box in corners])
    assert (found != other).any((1, 2)).mean() > 0.1


class Ramp(Backbone):
    """Cell i of a row holds i; every 16 pixels a cell, of which the first is centred on pixel 0."""

    def __init__(self, origin=0.5):
        super().__init__()
        self.input_size, self.stride, self.map_origin = 128, 16, origin
        self.map_size, self.map_channels = (8, 8), 1
        self.layers = {"pool5": LayerSpec((1, 4, 4))}
        self.preprocessing = Preprocessing.of("RGB", 1.0, (0, 0, 0), (1, 1, 1))
        self.gain = torch.nn.Parameter(torch.ones(()))

    def map(self, images):
        height, width = (-(-side // 16) for side in images.shape[2:])
        return torch.arange(float(width)).expand(len(images), 1, height, width) * self.gain

    def after_pool(self, pooled, layers):
        return {"pool5": pooled.flatten(1)}


def bins_of(project, box, flips=(False,), cell0=0.5, scale=1, **settings):
    """What the first row of bins of a region of a 320 x 320 image holds; cell 0 lies on pixel ``cell0``."""
    extractor = project.roi_pool.RoIPool(input_size=128, short_sides=(320 * scale,), long_side=320 * scale, **settings)
    image = np.zeros((320, 320, 3), np.uint8)
    inputs = extractor.prepare(image, Boxes.of([box] * len(flips)), np.array(flips))
    found = extractor.forward(Ramp(cell0), [inputs], ["pool5"])["pool5"]
    return found.detach().reshape(len(flips), 4, 4)[:, 0].tolist()


def test_pixels_32_to_159_are_nine_cells(project):
    # The last pixel, 159, lies 9.94 cells on: cells 2..10 in four bins of 2.25 cells: 2-4, 4-6, 6-8, 8-10
    assert bins_of(project, [32, 40, 160, 168]) == [[4, 6, 8, 10]]


@pytest.mark.parametrize("scale, end, last", [(1, 104, 6), (1, 105, 7), (2, 100, 12), (2, 101, 13)])
def test_the_last_pixel_ends_a_region(project, scale, end, last):
    # The last pixel is end - 1: 103 is 6.44 cells on and 104 is 6.5, which goes up. Scaled by 2, 99 becomes 198, 12.4
    # cells on, and 100 becomes 200, 12.5. With an exclusive end, 104 would give 7 and 100, scaled, 13.
    assert bins_of(project, [32, 40, end, 112], scale=scale)[0][-1] == last


def test_align_takes_the_edges_as_they_are(project):
    # Pixel 32 begins (32 - 0.5) / 16 = 1.97 cells on, and a bin of 32 px has its middle one cell further.
    (found,) = bins_of(project, [32, 40, 160, 168], pool="align")
    np.testing.assert_allclose(found, 31.5 / 16 + np.array([1, 3, 5, 7]), atol=1e-5)
    # With cells that tile the image from its corner, torchvision.ops.roi_align(aligned=True) gives these.
    assert bins_of(project, [32, 40, 160, 168], cell0=8.0, pool="align") == [[2.5, 4.5, 6.5, 8.5]]


def test_a_cell_is_where_the_network_has_it_unless_zero_is_asked_for(project):
    # Centred on 16.5, cell 0 lies on pixel 16: pixels 32..159 are cells 1..9.
    assert bins_of(project, [32, 40, 160, 168], cell0=16.5) == [[3, 5, 7, 9]]
    assert bins_of(project, [32, 40, 160, 168], cell0=16.5, origin="zero") == [[4, 6, 8, 10]]


def test_a_mirrored_region_is_that_of_the_mirror_image(project):
    # 320 px: 32..159 becomes 160..287, cells 10..18; the map of the mirror image is the same ramp here.
    assert bins_of(project, [32, 40, 160, 168], [False, True]) == [[4, 6, 8, 10], [12, 14, 16, 18]]


def test_each_region_takes_the_scale_nearest_to_a_crops_pixels(project):
    # 224 x 224 = 50,176, scaled by 1.6 or 2.88: 100 px become 160 or 288, of which 25,600 is the nearer; 90 x 70 become
    # 16,128 or 52,255
    extractor = project.roi_pool.RoIPool(input_size=224, short_sides=(480, 864), long_side=2000)
    prepared = extractor.prepare(
        np.zeros((300, 400, 3), np.uint8),
        Boxes.of([[0, 0, 100, 100], [0, 0, 90, 70], [0, 0, 300, 300]]),
        np.zeros(3, bool),
    )
    assert prepared["scale"].tolist() == [0, 1, 0]
    assert prepared["image0"].shape == (480, 640, 3) and prepared["image1"].shape == (864, 1152, 3)


def test_gradient_goes_to_the_first_maximum(project):
    maps = torch.ones(1, 1, 2, 2, requires_grad=True)
    project.roi_pool.roi_max_pool(maps, torch.tensor([[0.0, 0, 0, 16, 16]]), (1, 1), 16).sum().backward()
    assert maps.grad.tolist() == [[[[1, 0], [0, 0]]]]


def test_bfloat16_maps_give_their_own_maxima(project, cells, corners):
    maps = torch.from_numpy(cells)[None, None].bfloat16()
    regions = torch.from_numpy(np.column_stack([np.zeros(len(corners)), corners]).astype(np.float32))
    found = project.roi_pool.roi_max_pool(maps, regions, (6, 6), 16)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found.float(), project.roi_pool.roi_max_pool(maps.float(), regions, (6, 6), 16))


@pytest.mark.parametrize("settings", [{}, {"pool": "align"}, {"short_sides": (60, 90), "long_side": 200}])
def test_regions_reach_the_fully_connected_layers_and_gradients_the_first_convolution(project, settings):
    torch.manual_seed(0)
    backbone = TinyNet(input_size=48, width=8, fc_dim=16)
    extractor = project.roi_pool.RoIPool(input_size=48, **settings)
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    boxes = Boxes.of([[5, 5, 60, 50], [0, 0, 20, 30], [30, 10, 75, 55]])
    inputs = extractor.prepare(image, boxes, np.array([False, True, False]))
    found = extractor.forward(backbone, [inputs], ["pool5", "fc7"])
    assert {name: tuple(rows.shape) for name, rows in found.items()} == {"pool5": (3, 8 * 36), "fc7": (3, 16)}
    found["fc7"].sum().backward()
    assert backbone.conv1.weight.grad.abs().sum() > 0


def test_a_long_side_shorter_than_the_short_one_is_refused(project):
    with pytest.raises(ConfigError, match=r"RoIPool.LONG_SIDE: 500 is less than 600 of SHORT_SIDES"):
        project.roi_pool.RoIPool(input_size=224, long_side=500)


@torch.no_grad()
@pytest.mark.parametrize("pool", ["max", "align"])
def test_features_of_a_wider_window_stand_behind_those_of_the_region(project, pool):
    torch.manual_seed(0)
    net = TinyNet(input_size=32, width=8, fc_dim=16).eval()
    image = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)

    def features(boxes, **settings):
        extractor = project.roi_pool.RoIPool(input_size=32, short_sides=(32, 64), pool=pool, **settings)
        return extractor.forward(net, [extractor.prepare(image, boxes, np.array([False, True]))], ["pool5", "fc7"])

    # (10, 10, 30, 40) twice as wide and high around (20, 25) is (0, -5, 40, 55).
    boxes, wide = Boxes.of([[10, 10, 30, 40], [20, 20, 40, 30]]), Boxes.of([[0, -5, 40, 55], [10, 15, 50, 35]])
    found, region, around = features(boxes, wider=2.0), features(boxes), features(wide)
    for name, rows in found.items():
        torch.testing.assert_close(rows, torch.cat([region[name], around[name]], 1), rtol=1e-4, atol=1e-5)
