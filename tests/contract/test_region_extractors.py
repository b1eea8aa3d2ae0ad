"""Every registered region extractor keeps what ``RegionExtractor`` promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from detkit.backbones.tiny import TinyNet
from detkit.components import load_components
from detkit.regions.base import RegionExtractor
from detkit.regions.network import RegionNetwork
from detkit.registry import REGION_EXTRACTORS
from detkit.structures import Boxes
from detkit.system.compute import Compute

load_components()
LAYERS = ["pool5", "fc7"]


@pytest.fixture(params=REGION_EXTRACTORS.names())
def extractor(request):
    return REGION_EXTRACTORS.get(request.param)(input_size=48)


@pytest.fixture(scope="module")
def backbone():
    torch.manual_seed(0)
    return TinyNet(input_size=48, width=8, fc_dim=16).eval()


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in ((40, 60), (30, 30), (50, 20))]


def boxes_in(image, num, seed=0):
    height, width = image.shape[:2]
    corners = np.random.default_rng(seed).uniform(0, 1, (num, 2, 2)) * (width - 2, height - 2)
    return Boxes.of(np.hstack([corners.min(1), corners.max(1) + 2]))


def run(extractor, backbone, prepared, pad_to=0):
    with torch.no_grad():
        return extractor.forward(backbone, prepared, LAYERS, pad_to)


def test_prepared_regions_are_arrays(extractor, images):
    boxes = boxes_in(images[0], 3)
    assert all(isinstance(v, np.ndarray) for v in extractor.prepare(images[0], boxes, np.zeros(3, bool)).values())
    assert isinstance(extractor.per_image, bool)


def test_rows_are_the_regions_of_all_images_in_order(extractor, backbone, images):
    prepared = [
        extractor.prepare(im, boxes_in(im, n), np.zeros(n, bool)) for im, n in zip(images, (3, 0, 2), strict=True)
    ]
    joined = run(extractor, backbone, prepared, pad_to=4)
    apart = [run(extractor, backbone, [p], pad_to=4) for p in prepared]
    for name in LAYERS:
        assert joined[name].shape == (5, backbone.layers[name].dim) and joined[name].dtype == torch.float32
        assert torch.equal(joined[name], torch.cat([a[name] for a in apart]))


def test_no_images_and_no_regions_give_no_rows(extractor, backbone, images):
    empty = extractor.prepare(images[0], Boxes.of([]), np.zeros(0, bool))
    for prepared in ([], [empty]):
        assert run(extractor, backbone, prepared)["fc7"].shape == (0, 16)


def test_filling_up_changes_nothing_but_rounding(extractor, backbone, images):
    prepared = [extractor.prepare(images[0], boxes_in(images[0], 7), np.zeros(7, bool))]
    for name, rows in run(extractor, backbone, prepared).items():
        torch.testing.assert_close(run(extractor, backbone, prepared, pad_to=3)[name], rows, rtol=1e-4, atol=1e-5)


def test_same_region_has_the_same_bits_in_any_company(extractor, backbone, images):
    boxes, flips = boxes_in(images[0], 8), np.arange(8) % 2 == 1
    whole = run(extractor, backbone, [extractor.prepare(images[0], boxes, flips)], pad_to=8)["fc7"]
    order = np.random.default_rng(1).permutation(8)
    other = run(
        extractor, backbone, [extractor.prepare(images[0], boxes[torch.from_numpy(order)], flips[order])], pad_to=8
    )
    assert torch.equal(other["fc7"], whole[order])


def test_flips_change_the_marked_regions_only(extractor, backbone, images):
    boxes = boxes_in(images[0], 4)
    plain = run(extractor, backbone, [extractor.prepare(images[0], boxes, np.zeros(4, bool))], pad_to=4)["fc7"]
    flips = np.array([True, False, True, False])
    mixed = run(extractor, backbone, [extractor.prepare(images[0], boxes, flips)], pad_to=4)["fc7"]
    torch.testing.assert_close(mixed[~flips], plain[~flips])
    assert not torch.allclose(mixed[flips], plain[flips])


def test_gradients_reach_the_backbone(extractor, backbone, images):
    prepared = [extractor.prepare(images[0], boxes_in(images[0], 3), np.zeros(3, bool))]
    loss = extractor.forward(backbone, prepared, ["fc7"], 4)["fc7"].sum()
    assert torch.autograd.grad(loss, backbone.conv1.weight)[0].abs().sum() > 0


def test_the_extractor_for_training_has_the_same_marks_and_changes_nothing(extractor, images):
    from detkit.config.schema import fields_of

    boxes, flips = boxes_in(images[0], 3), np.zeros(3, bool)
    before = extractor.prepare(images[0], boxes, flips)
    trained = extractor.for_training()
    assert isinstance(trained, RegionExtractor)
    assert (trained.per_image, trained.hands_over_images) == (extractor.per_image, extractor.hands_over_images)
    assert trained.prepare(images[0], boxes, flips).keys() == before.keys()
    after = extractor.prepare(images[0], boxes, flips)
    assert all(np.array_equal(after[name], value) for name, value in before.items())
    assert set(extractor.feature_keys) <= fields_of(type(extractor)).keys()


def test_image_is_not_changed(extractor, images):
    before = images[0].copy()
    extractor.prepare(images[0], boxes_in(images[0], 3), np.ones(3, bool))
    assert (images[0] == before).all()


def test_padding_of_half_a_crop_is_refused_where_there_is_padding(extractor):
    from detkit.config.schema import fields_of
    from detkit.errors import ConfigError

    if "PADDING" in fields_of(type(extractor)):
        with pytest.raises(ConfigError, match="PADDING: 24 on both sides"):
            type(extractor)(input_size=48, padding=24)


def test_a_network_that_holds_bfloat16_gives_what_autocast_gives_to_the_bit(extractor, backbone, images):
    boxes = boxes_in(images[0], 5)
    with torch.autocast("cpu", torch.bfloat16):
        expected = run(extractor, backbone, [extractor.prepare(images[0], boxes, np.zeros(5, bool))], pad_to=4)
    compute = Compute(torch.device("cpu"), torch.bfloat16, compile=False)
    network = RegionNetwork(backbone, extractor, compute=compute, batch=4)
    found = network.of_image(images[0], boxes, LAYERS)
    for name in LAYERS:
        assert torch.equal(found[name], expected[name].half().float())
    assert all(weight.dtype == torch.float32 for weight in backbone.parameters())
