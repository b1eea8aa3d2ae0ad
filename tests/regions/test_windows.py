"""Features of a region from its own window, the mirror image of it, and a wider window."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from detkit.errors import ConfigError
from detkit.regions.shared_map import SharedMap
from detkit.regions.warped_crops import WarpedCrops
from detkit.structures import Boxes

LAYERS = ["pool5", "fc7"]
# Without context a box of whole pixels has the mirrored crop in the mirrored image.
SETTINGS = {WarpedCrops: {"padding": 0}, SharedMap: {"padding": 0, "short_sides": (32, 64)}}


@torch.no_grad()
def features(backbone, image, boxes, images=1, kind=WarpedCrops, flip=False, **settings):
    extractor = kind(input_size=32, **SETTINGS[kind] | settings)
    prepared = [extractor.prepare(image, boxes, np.full(len(boxes), flip)) for _ in range(images)]
    return extractor.forward(backbone, prepared, LAYERS)


def test_mirrored_features_are_the_mean_of_two_passes_with_cells_in_their_places(backbone, image):
    boxes = Boxes.of([[10, 10, 30, 40], [4, 2, 60, 50]])
    here, there = (features(backbone, i, b) for i, b in ((image, boxes), (image[:, ::-1].copy(), boxes.flip(80))))
    shape = backbone.layers["pool5"].shape
    back = {"pool5": there["pool5"].unflatten(1, shape).flip(-1).flatten(1), "fc7": there["fc7"]}
    found = features(backbone, image, boxes, mirror=True)
    for name in LAYERS:
        assert_close(found[name], (here[name] + back[name]) / 2, rtol=1e-4, atol=1e-5)


def test_a_mirrored_region_has_the_same_vector(backbone, image):
    boxes = Boxes.of([[10, 10, 30, 40]])
    one = features(backbone, image, boxes, mirror=True)["fc7"]
    assert_close(features(backbone, image[:, ::-1].copy(), boxes.flip(80), mirror=True)["fc7"], one, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", SETTINGS)
@pytest.mark.parametrize(("images", "flip"), [(1, False), (2, False), (1, True)])
def test_a_wider_window_stands_behind_the_region(backbone, image, images, flip, kind):
    # (10, 10, 30, 40) twice as wide and high around (20, 25) is (0, -5, 40, 55).
    boxes, wide = Boxes.of([[10, 10, 30, 40], [20, 20, 40, 30]]), Boxes.of([[0, -5, 40, 55], [10, 15, 50, 35]])
    found = features(backbone, image, boxes, images, kind, flip, wider=2.0)
    apart = [features(backbone, image, own, images, kind, flip) for own in (boxes, wide)]
    for name in LAYERS:
        assert_close(found[name], torch.cat([a[name] for a in apart], 1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_wider_window_doubles_the_channels(backbone, kind):
    described = kind(input_size=32, wider=1.5).describe(backbone.layers)
    assert [described[name].shape[0] for name in LAYERS] == [2 * backbone.layers[name].shape[0] for name in LAYERS]
    assert described["pool5"].shape[1:] == backbone.layers["pool5"].shape[1:]


@pytest.mark.parametrize("kind", SETTINGS)
def test_no_region_has_no_features_of_the_described_length(backbone, image, kind):
    found = features(backbone, image, Boxes.of([]), kind=kind, wider=1.5)
    assert {name: tuple(rows.shape) for name, rows in found.items()}["fc7"] == (0, 32)


def test_the_network_is_tuned_on_one_crop(backbone):
    tuned = WarpedCrops(input_size=32, mirror=True, wider=1.5).for_training()
    assert not tuned.mirror
    assert tuned.describe(backbone.layers) == backbone.layers


def test_a_pooling_network_is_tuned_on_both_windows(backbone):
    tuned = SharedMap(input_size=32, wider=1.5).for_training()
    assert tuned.describe(backbone.layers)["fc7"].dim == 2 * backbone.layers["fc7"].dim


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_window_that_is_not_wider_is_refused(kind):
    with pytest.raises(ConfigError, match=rf"{kind.__name__}\.WIDER: 0\.8 is not wider; allowed: 0, or more than 1"):
        kind(input_size=32, wider=0.8)


@pytest.mark.parametrize("settings", [{"mirror": True}, {"wider": 1.5}])
def test_a_graph_of_one_crop_cannot_hold_it(settings):
    assert WarpedCrops(input_size=32).warp() is not None
    assert WarpedCrops(input_size=32, **settings).warp() is None
