"""A network of a few hundred weights, and small images to train it on."""

from types import MappingProxyType, SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from detkit.backbones.base import Backbone, LayerSpec
from detkit.backbones.preprocessing import Preprocessing
from detkit.data.base import Dataset
from detkit.regions.base import RegionExtractor
from detkit.regions.index import RegionIndex
from detkit.structures import Annotations, Boxes, Proposals, Sample
from detkit.system.compute import Compute
from detkit.system.seeding import torch_seed


class ToyBackbone(Backbone):
    input_size, stride, map_size, map_channels = 8, 2, (4, 4), 4
    layers = MappingProxyType({"pool5": LayerSpec((4, 4, 4)), "final": LayerSpec((16,))})

    def __init__(self):
        super().__init__()
        self.preprocessing = Preprocessing.of("RGB", 1 / 255, [0.5, 0.5, 0.5], [0.25, 0.25, 0.25])
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.fc = nn.Linear(64, 16)

    def map(self, images):
        return self.conv(images).relu()

    def after_pool(self, pooled, layers):
        pool5 = pooled.flatten(1)
        final = nn.functional.dropout(self.fc(pool5).relu(), 0.2, self.training)
        return {name: {"pool5": pool5, "final": final}[name] for name in layers}


class ToyExtractor(RegionExtractor):
    """Plain crops; ``seen`` keeps what was asked for, where ``prepare`` runs in this process."""

    per_image = False

    def __init__(self):
        self.seen = []

    def prepare(self, image, boxes, flips):
        self.seen.append((image, boxes, flips))
        crops = [cv2.resize(image[y1:y2, x1:x2], (8, 8)) for x1, y1, x2, y2 in boxes.tensor.int().tolist()]
        return {"crops": np.stack([c[:, ::-1] if f else c for c, f in zip(crops, flips)])}

    def forward(self, backbone, inputs, layers, pad_to=0):
        crops = torch.from_numpy(np.concatenate([i["crops"] for i in inputs]))
        return backbone(backbone.preprocessing(crops), layers)


class ToyImages(Dataset):
    """Plain images, dark ones of class 0 and bright ones of class 1, one annotation each."""

    class_names = ("dark", "bright")

    def __init__(self, samples):
        self.samples, self.skipped, self.warnings = samples, [], []

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, i):
        return self.samples[i]

    def fingerprint(self, *, truths=True):
        return "toy"


@pytest.fixture(autouse=True)
def one_thread():
    """Networks this small lose more by waiting for threads than they gain."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def backbone():
    """Makes the same untrained network again and again."""

    def make():
        with torch_seed(0, "toy"):
            return ToyBackbone()

    return make


@pytest.fixture
def no_dropout(monkeypatch):
    monkeypatch.setattr(nn.functional, "dropout", lambda x, p, training: x)


@pytest.fixture
def toy(tmp_path):
    """Four images of 20x24: a red square at (2, 2, 12, 12) in the even ones, a green at (12, 8, 22, 18) in the odd."""
    samples, proposals = [], []
    for i in range(4):
        pixels = np.random.default_rng(i).integers(0, 60, (20, 24, 3), dtype=np.uint8)
        x, y = (2, 2) if i % 2 == 0 else (12, 8)
        pixels[y : y + 10, x : x + 10, i % 2] = 250
        path = tmp_path / f"picture{i}.png"
        cv2.imwrite(str(path), pixels[..., ::-1])
        truth = Annotations.of(Boxes.of([[x, y, x + 10, y + 10]]), [i % 2])
        samples.append(Sample(f"picture{i}", path, (20, 24), truth))
        boxes = Boxes.of([[x, y, x + 9, y + 10], [0, 0, 8, 3], [0, 15, 10, 20], [14, 0, 24, 6]])
        proposals.append(Proposals.unranked(boxes, (20, 24)))
    return SimpleNamespace(
        samples=samples, index=RegionIndex.build(samples, proposals, num_classes=2), extractor=ToyExtractor()
    )


@pytest.fixture
def classified(tmp_path):
    """Makes a set of n images, by turns dark and bright."""

    def make(n):
        samples = []
        for i in range(n):
            path = tmp_path / f"image{i}.png"
            noise = np.random.default_rng(i).integers(0, 80, (10, 14, 3))
            cv2.imwrite(str(path), (noise + 150 * (i % 2)).astype(np.uint8))
            whole = Annotations.of(Boxes.of([[0, 0, 14, 10]]), [i % 2])
            samples.append(Sample(f"image{i}", path, (10, 14), whole))
        return ToyImages(samples)

    return make


@pytest.fixture
def cpu():
    return Compute.resolve(device="cpu", dtype="float32")
