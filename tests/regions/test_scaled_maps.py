from __future__ import annotations

import numpy as np
import pytest
import torch

from detkit.backbones.tiny import TinyNet
from detkit.regions.shared_map import SharedMap
from detkit.structures import Boxes
from detkit.system.memory import FreedMemory

BOXES = Boxes.of([[10, 10, 20, 20], [5, 5, 60, 60], [12, 10, 22, 22], [0, 0, 70, 50]])


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (101, 141, 3), dtype=np.uint8)


@pytest.fixture
def backbone():
    """A network that counts the images of which it makes maps."""
    torch.manual_seed(0)
    backbone = TinyNet(input_size=32, width=8, fc_dim=16)
    backbone.seen, make = [], backbone.map
    backbone.map = lambda images: backbone.seen.append(images) or make(images)
    return backbone


def learn(backbone, extractor, image, boxes, flips):
    """The gradient of the first convolution."""
    backbone.zero_grad()
    inputs = extractor.prepare(image, boxes, flips)
    extractor.forward(backbone, [inputs], ["fc7"])["fc7"].square().sum().backward()
    return backbone.conv1.weight.grad.clone()


def test_several_scales_make_each_map_a_second_time_for_the_gradient(backbone, image):
    # Regions 0 and 2 take the second of the scales, 1 and 3 the first; a scale by itself keeps its map's layers.
    several = SharedMap(input_size=32, padding=4, short_sides=(40, 80), long_side=400)
    plain = np.zeros(4, bool)
    found = learn(backbone, several, image, BOXES, plain)
    assert [tuple(x.shape[2:]) for x in backbone.seen] == [(40, 56), (80, 112), (80, 112), (40, 56)]
    backbone.seen.clear()
    expected = sum(
        learn(backbone, SharedMap(input_size=32, padding=4, short_sides=(side,), long_side=400), image, BOXES[rows], f)
        for side, rows, f in ((40, [1, 3], plain[:2]), (80, [0, 2], plain[:2]))
    )
    assert len(backbone.seen) == 2
    torch.testing.assert_close(found, expected)


def test_a_step_without_gradient_makes_each_map_once(backbone, image):
    several = SharedMap(input_size=32, padding=4, short_sides=(40, 80), long_side=400)
    with torch.no_grad():
        several.forward(backbone, [several.prepare(image, BOXES, np.zeros(4, bool))], ["fc7"])
    assert len(backbone.seen) == 2


@pytest.mark.parametrize("flips, views", [([False] * 4, 1), ([True] * 4, 1), ([True, False, False, True], 2)])
def test_only_views_with_regions_are_convolved(backbone, image, flips, views):
    extractor = SharedMap(input_size=32, padding=4, short_sides=(80,))
    with torch.no_grad():
        extractor.forward(backbone, [extractor.prepare(image, BOXES, np.array(flips))], ["fc7"])
    assert [len(x) for x in backbone.seen] == [views]


def test_areas_of_mirrored_regions_are_those_in_the_mirror_image(image):
    # 200 px, twice as large: 30..50 becomes 150..170 of the mirror image, and 300..340 there.
    extractor = SharedMap(input_size=32, padding=0, short_sides=(200,), long_side=400)
    wide = np.zeros((100, 200, 3), np.uint8)
    prepared = extractor.prepare(wide, Boxes.of([[30, 10, 50, 40]] * 2), np.array([False, True]))
    np.testing.assert_array_equal(prepared["areas"], [[60, 20, 100, 80], [300, 20, 340, 80]])


def test_what_is_shown_of_a_region_is_the_image_in_its_scale_and_the_part_that_is_pooled(image):
    several = SharedMap(input_size=32, padding=4, short_sides=(40, 80), long_side=400)
    view = several.view(image, BOXES[1])
    assert not view.is_crop and view.pixels.shape == (40, 56, 3)
    assert view.window.tolist() == [0, 0, 141, 101]
    # 55 pixels with 4 of 32 on both sides are 73.33, around 32.5; 56 of 141 columns and 40 of 101 rows
    assert view.area == pytest.approx(
        [c * s for c, s in zip([-25 / 6, -25 / 6, 415 / 6, 415 / 6], [56 / 141, 40 / 101] * 2)]
    )


def test_gaps_in_memory_are_bounded_at_every_pass(backbone, image, monkeypatch):
    asked = []
    monkeypatch.setattr(FreedMemory, "bound", lambda self: asked.append(self))
    extractor = SharedMap(input_size=32, padding=4, short_sides=(80,))
    inputs = [extractor.prepare(image, BOXES, np.zeros(len(BOXES), bool))]
    for _ in range(2):
        extractor.forward(backbone, inputs, ["pool5"])
    assert len(asked) == 2 and asked[0] is asked[1]
