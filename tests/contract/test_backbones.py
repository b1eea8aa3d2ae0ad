"""What our own backbones keep beyond the contract."""

from __future__ import annotations

import pytest
import torch

from detkit.backbones.fuse import fuse_for_inference
from detkit.components import load_components
from detkit.registry import BACKBONES

load_components()


@pytest.fixture(scope="module", params=BACKBONES.names())
def backbone(request):
    torch.manual_seed(0)
    small = {} if request.param == "TinyNet" else {"input_size": 115}
    return BACKBONES.get(request.param)(**small).eval()


@torch.no_grad()
def test_the_copy_in_bfloat16_gives_what_autocast_gives_to_the_bit(backbone):
    pixels = torch.randint(0, 256, (2, backbone.input_size, backbone.input_size, 3), dtype=torch.uint8)
    found = []
    for dtype in (torch.float32, torch.bfloat16):
        fused = fuse_for_inference(backbone, dtype).to(memory_format=torch.channels_last)
        given = fused.preprocessing(pixels)
        assert given.dtype == dtype
        with torch.autocast("cpu", torch.bfloat16):
            found.append(fused(given, list(backbone.layers)))
    assert all(torch.equal(found[0][name], found[1][name]) for name in backbone.layers)
