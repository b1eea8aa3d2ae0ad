"""The pre-trained networks name what the photographs show, so layers, weights and preprocessing fit together."""

from __future__ import annotations

import json

import cv2
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from detkit.backbones.torchvision_nets import TorchvisionBackbone
from detkit.backbones.weights import load_weights


@torch.no_grad()
def test_squeezenet_predicts_what_an_independent_program_predicts(shared):
    folder, path = shared / "data" / "imagenet_sample50", shared / "weights" / "squeezenet1_0.safetensors"
    results = json.loads((folder / "expected_top1.json").read_text())["results"]
    (expected,) = (r["pred_top1"] for name, r in results.items() if name.startswith("squeezenet10"))
    backbone = TorchvisionBackbone(arch="squeezenet1_0").eval()
    load_weights(backbone, str(path))
    head = load_file(path)
    crops = []
    for file in sorted((folder / "images").iterdir())[::4]:
        image = torch.from_numpy(cv2.imread(str(file))[..., ::-1].copy()).permute(2, 0, 1)[None]
        crops.append(F.interpolate(image, (256, 256), mode="bilinear", antialias=True)[..., 14:241, 14:241])
    maps = backbone.map(backbone.preprocessing(torch.cat(crops).permute(0, 2, 3, 1)))
    scores = F.relu(F.conv2d(maps, head["classifier.1.weight"].float(), head["classifier.1.bias"].float()))
    assert scores.mean((2, 3)).argmax(1).tolist() == expected[::4]
