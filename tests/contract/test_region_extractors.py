"""What our own region extractors keep beyond the contract."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from detkit.backbones.tiny import TinyNet
from detkit.components import load_components
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
