"""The pre-trained networks name what the photographs show, so layers, weights and preprocessing fit together."""

from __future__ import annotations

import json

import cv2
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from detkit.backbones.torchvision_nets import TorchvisionBackbone
from detkit.backbones.weights import load_weights


def square_256(image):
    return F.interpolate(image, (256, 256), mode="bilinear", antialias=True)


def short_side_256(image):
    height, width = image.shape[2:]
    side = min(height, width)
    size = (round(256 * height / side), round(256 * width / side))
    return F.interpolate(image, size, mode="bilinear", antialias=True)


@torch.no_grad()
def predictions(shared, arch, resize, crop, step):
    """What the network and the stored ones predict for every so manieth picture."""
    folder, path = shared / "data" / "imagenet_sample50", shared / "weights" / f"{arch}.safetensors"
    results = json.loads((folder / "expected_top1.json").read_text())["results"]
    (expected,) = (r["pred_top1"] for name, r in results.items() if name.startswith(arch.replace("1_", "1")))
    backbone = TorchvisionBackbone(arch=arch).eval()
    load_weights(backbone, str(path))
    head = load_file(path)
    weight, bias = head["classifier.1.weight"].float(), head["classifier.1.bias"].float()
    found = []
    for file in sorted((folder / "images").iterdir())[::step]:
        image = resize(torch.from_numpy(cv2.imread(str(file))[..., ::-1].copy()).permute(2, 0, 1)[None])
        top, left = ((n - crop) // 2 for n in image.shape[2:])
        pixels = image[..., top : top + crop, left : left + crop].permute(0, 2, 3, 1)
        maps = backbone.map(backbone.preprocessing(pixels))
        found.append(int(F.relu(F.conv2d(maps, weight, bias)).mean((2, 3)).argmax()))
    return found, expected[::step]


NETWORKS = [("squeezenet1_0", square_256, 227), ("squeezenet1_1", short_side_256, 224)]


@pytest.mark.parametrize("arch, resize, crop", NETWORKS)
def test_squeezenet_predicts_what_an_independent_program_predicts(shared, arch, resize, crop):
    found, expected = predictions(shared, arch, resize, crop, step=8)
    assert found == expected


@pytest.mark.soak
@pytest.mark.parametrize("arch, resize, crop", NETWORKS)
def test_squeezenet_predicts_what_an_independent_program_predicts_for_all_pictures(shared, arch, resize, crop):
    found, expected = predictions(shared, arch, resize, crop, step=1)
    assert found == expected
