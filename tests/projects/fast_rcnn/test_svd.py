from __future__ import annotations

import pytest
import torch
from torch import nn

from detkit.backbones.tiny import TinyNet
from detkit.backbones.torchvision_nets import TorchvisionBackbone
from detkit.backbones.weights import load_weights, save_weights
from detkit.errors import ConfigError, WeightsError


def rows(count, dim):
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(1))


def test_more_ranks_than_layers_are_refused(project):
    with pytest.raises(ConfigError, match=r"COMPRESS.RANKS: \[4, 4, 4\] are 3 numbers, .* 2 fully .* at most 2"):
        project.svd.compress(TinyNet(input_size=16), [4, 4, 4])
    with pytest.raises(ConfigError, match=r"COMPRESS.RANKS: \[4\] are 1 numbers, but the network has 0 fully"):
        project.svd.compress(TorchvisionBackbone(arch="squeezenet1_1"), [4])


@pytest.mark.parametrize(
    "ranks, shapes", [([6, 3], [(6, 128), (3, 16)]), ([0, 3], [None, (3, 16)]), ([6], [(6, 128), None])]
)
@torch.no_grad()
def test_a_compressed_network_is_what_its_file_makes_of_a_plain_one(project, tmp_path, ranks, shapes):
    torch.manual_seed(0)
    backbone, x = TinyNet(input_size=16, width=32, fc_dim=16).eval(), rows(2, 3 * 16 * 16).view(2, 3, 16, 16)
    whole = backbone(x, ["fc7"])["fc7"]
    project.svd.compress(backbone, ranks)
    for layer, shape in zip((backbone.fc6, backbone.fc7), shapes, strict=True):
        assert (layer[0].weight.shape == shape) if shape else isinstance(layer, nn.Linear)
    expected = backbone(x, ["fc7"])["fc7"]
    assert not torch.allclose(expected, whole, atol=1e-3)
    save_weights(tmp_path / "network.safetensors", backbone)
    other = TinyNet(input_size=16, width=32, fc_dim=16).eval()
    load_weights(other, str(tmp_path / "network.safetensors"))
    assert torch.equal(other(x, ["fc7"])["fc7"], expected)


def test_layers_of_another_size_are_refused(project, tmp_path):
    backbone = TinyNet(input_size=16, width=32, fc_dim=16)
    project.svd.compress(backbone, [6])
    save_weights(tmp_path / "network.safetensors", backbone)
    # 24 px have 3 x 3 cells in pool5: 288 numbers.
    message = r"tensor fc6.0.weight has the shape \(6, 128\), but TinyNet needs \(6, 288\)"
    with pytest.raises(WeightsError, match=message):
        load_weights(TinyNet(input_size=24, width=32, fc_dim=16), str(tmp_path / "network.safetensors"))


def test_numbers_of_vgg16_at_the_published_ranks():
    # t (u + v): 1024 (4096 + 25088) = 29.9 M of 102.8, 256 (4096 + 4096) = 2.1 M of 16.8
    with torch.device("meta"):
        layers = [m for m in TorchvisionBackbone(arch="vgg16").modules() if isinstance(m, nn.Linear)]
    assert [m.weight.numel() for m in layers] == [102_760_448, 16_777_216]
    assert [t * sum(m.weight.shape) for m, t in zip(layers, (1024, 256))] == [29_884_416, 2_097_152]
