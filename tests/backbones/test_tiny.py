from __future__ import annotations

import pytest
import torch

from detkit.backbones.tiny import TinyNet
from detkit.errors import ConfigError


@pytest.mark.parametrize("size, side", [(48, 12), (45, 12), (8, 2), (64, 16)])
@torch.no_grad()
def test_map_has_a_cell_for_every_four_pixels(size, side):
    backbone = TinyNet(input_size=size, width=6, fc_dim=5).eval()
    x = torch.randn(2, 3, size, size)
    assert backbone.map(x).shape == (2, 6, side, side) and backbone.map_size == (side, side)
    found = backbone(x, ["pool5", "fc6", "fc7"])
    assert {name: tuple(rows.shape) for name, rows in found.items()} == {
        "pool5": (2, 6 * (side // 2) ** 2),
        "fc6": (2, 5),
        "fc7": (2, 5),
    }


@torch.no_grad()
def test_first_cell_is_centred_on_the_first_pixel():
    # 4c + 1 pixels have c cells on either side of the middle one; with constant kernels the map of a mirror image is
    # the mirrored map
    backbone = TinyNet(input_size=17, width=4).eval()
    for layer in (backbone.conv1, backbone.conv2, backbone.conv3, backbone.conv4):
        torch.nn.init.constant_(layer.weight, 0.01)
    ramp = torch.linspace(0, 1, 17).expand(1, 3, 17, 17)
    assert (backbone.map_origin, backbone.stride) == (0.5, 4)
    torch.testing.assert_close(backbone.map(ramp.flip(3)), backbone.map(ramp).flip(3), rtol=1e-4, atol=0)


def test_bars_are_told_apart_after_a_few_steps():
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    labels = torch.arange(32) % 2
    x = 0.3 * torch.randn(32, 3, 16, 16, generator=generator)
    for i, label in enumerate(labels.tolist()):
        at = 2 + i % 12
        if label:
            x[i, :, at] += 1
        else:
            x[i, :, :, at] += 1
    backbone = TinyNet(input_size=16, width=8, fc_dim=16).train()
    head = torch.nn.Linear(16, 2)
    solver = torch.optim.SGD([*backbone.parameters(), *head.parameters()], lr=0.05, momentum=0.9)
    for _ in range(25):
        solver.zero_grad()
        loss = torch.nn.functional.cross_entropy(head(backbone(x, ["fc7"])["fc7"]), labels)
        loss.backward()
        solver.step()
    with torch.no_grad():
        correct = head(backbone.eval()(x, ["fc7"])["fc7"]).argmax(1) == labels
    assert correct.float().mean() > 0.95


def test_crop_under_eight_pixels_is_refused():
    with pytest.raises(ConfigError, match=r"BACKBONE.TinyNet.INPUT_SIZE: 7 is too small; allowed: 8 or more"):
        TinyNet(input_size=7)
