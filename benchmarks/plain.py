"""The loop that extraction is compared with: what one would write first."""

from __future__ import annotations

import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from inputs import index_of
from served import serve
from torch import Tensor, nn

from detkit.backbones.base import Backbone
from detkit.backbones.caffenet import AlexNet
from detkit.data.images import read_image
from detkit.regions.base import RegionExtractor
from detkit.regions.index import RegionIndex
from detkit.regions.warped_crops import WarpedCrops
from detkit.system.memory import keep_freed_memory

BATCH = 128
LOOPS = {"plain loop": False, "plain loop, freed memory kept": True}
"""Whether a loop's process keeps freed memory, as those of ``detkit train`` and ``detkit detect`` do."""


def plain_alexnet(backbone: Backbone) -> nn.Sequential:
    """AlexNet to fc7 with torch's own operators and the backbone's weights."""

    def pool() -> nn.Module:
        return nn.MaxPool2d(3, 2, ceil_mode=True)

    def norm() -> nn.Module:
        return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0)

    layers: list[tuple[str, nn.Module]] = [
        ("conv1", nn.Conv2d(3, 96, 11, stride=4)),
        ("relu1", nn.ReLU()),
        ("norm1", norm()),
        ("pool1", pool()),
        ("conv2", nn.Conv2d(96, 256, 5, padding=2, groups=2)),
        ("relu2", nn.ReLU()),
        ("norm2", norm()),
        ("pool2", pool()),
        ("conv3", nn.Conv2d(256, 384, 3, padding=1)),
        ("relu3", nn.ReLU()),
        ("conv4", nn.Conv2d(384, 384, 3, padding=1, groups=2)),
        ("relu4", nn.ReLU()),
        ("conv5", nn.Conv2d(384, 256, 3, padding=1, groups=2)),
        ("relu5", nn.ReLU()),
        ("pool5", pool()),
        ("flat", nn.Flatten()),
        ("fc6", nn.Linear(9216, 4096)),
        ("relu6", nn.ReLU()),
        ("fc7", nn.Linear(4096, 4096)),
        ("relu7", nn.ReLU()),
    ]
    net = nn.Sequential(OrderedDict(layers)).eval()
    net.load_state_dict(backbone.state_dict())
    return net


@torch.inference_mode()
def plain_loop(net: nn.Module, backbone: Backbone, extractor: RegionExtractor, index: RegionIndex) -> Tensor:
    """(R, 4096) float32: image after image, nothing at the same time as anything else, batches of 128, NCHW, eager."""
    parts = []
    for image, sample in enumerate(index.samples):
        pixels, rows = read_image(sample.path), index.rows(image)
        for start in range(rows.start, rows.stop, BATCH):
            boxes = index.boxes[start : min(start + BATCH, rows.stop)]
            crops = extractor.prepare(pixels, boxes, np.zeros(len(boxes), bool))
            given = backbone.preprocessing(torch.from_numpy(crops["crops"]), torch.from_numpy(crops["valid"]))
            parts.append(net(given.contiguous()))
    return torch.cat(parts)


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[1]))
    if LOOPS[sys.argv[3]]:
        keep_freed_memory()
    torch.manual_seed(0)
    index = index_of([Path(name) for name in sys.argv[4:]], int(sys.argv[2]))
    backbone = AlexNet(init="he").eval()
    net, extractor = plain_alexnet(backbone), WarpedCrops(input_size=227)
    serve(lambda: plain_loop(net, backbone, extractor, index))
