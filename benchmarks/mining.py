"""Time of hard negative mining by the number of classes, beside the time of extracting what it reads."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from extraction import extracted
from figures import Figure
from inputs import ROOT, Setting, boxes_of, index_of
from timing import exponent, interleaved, ratio
from torch import Tensor

from detkit.backbones.caffenet import AlexNet
from detkit.backbones.torchvision_nets import TorchvisionBackbone
from detkit.backbones.weights import load_weights
from detkit.classifiers.linear_svm import LinearSVM
from detkit.config import load_config
from detkit.regions.index import RegionIndex
from detkit.regions.network import RegionNetwork
from detkit.regions.source import ArraySource, FeatureSource
from detkit.regions.warped_crops import WarpedCrops
from detkit.run.datasets import Datasets
from detkit.structures import Annotations, Boxes, Proposals, Sample
from detkit.system.compute import Compute

SIZE = (375, 500)
SEPARATION = 1.5
"""Distance of a class's mean from the others', in deviations: some negatives of every image stay hard."""


class DrawnFeatures(FeatureSource):
    """Features of drawn classes: Gaussian, moved along a class's own direction where a region covers its object."""

    def __init__(self, index: RegionIndex, dim: int) -> None:
        self.index, self.dim = index, dim
        rng = torch.Generator().manual_seed(0)
        means = torch.randn(index.num_classes + 1, dim, generator=rng) * (SEPARATION / dim**0.5)
        means[-1] = 0
        labels = torch.from_numpy(np.where(index.label < 0, index.num_classes, index.label))
        noise = torch.randn(len(index), dim, generator=rng) / dim**0.5
        self._features = (noise + means[labels]).relu().half()

    def take(self, rows: np.ndarray) -> Tensor:
        """(M, D) float32."""
        return self._features[torch.from_numpy(rows)].float()

    def blocks(self) -> Iterator[tuple[int, Tensor]]:
        """Image by image."""
        for image in range(self.index.num_images):
            yield image, self._features[self.index.rows(image)].float()


def labelled(images: int, boxes: int, num_classes: int) -> RegionIndex:
    """Images with two objects each, of classes that take turns."""
    rng = np.random.default_rng(0)
    samples, proposals = [], []
    for i in range(images):
        labels = [(2 * i + k) % num_classes for k in range(2)]
        truths = Annotations.of(Boxes.of(boxes_of(SIZE, 2, rng).numpy()), labels)
        samples.append(Sample(f"{i:06d}", Path(f"{i:06d}.png"), SIZE, truths))
        proposals.append(Proposals.unranked(boxes_of(SIZE, boxes, rng), SIZE))
    return RegionIndex.build(samples, proposals, num_classes)


def fit(images: int, boxes: int, num_classes: int, dim: int = 4096) -> LinearSVM:
    """The SVMs of a drawn split."""
    index = labelled(images, boxes, num_classes)
    svm = LinearSVM(num_classes=num_classes, feature_dim=dim)
    return svm.fit(DrawnFeatures(index, dim), np.random.default_rng(0))


def figures(setting: Setting) -> list[Figure]:
    """Mining of 1, 5 and 20 classes, and its share of the extraction of as many regions."""
    found = _drawn(setting)
    return found if setting.data is None else [*found, *_real(setting)]


def _drawn(setting: Setting) -> list[Figure]:
    """On drawn features."""
    images, boxes, dim = (8, 20, 64) if setting.quick else (60, 1500, 4096)
    classes = (1, 2, 4) if setting.quick else (1, 5, 20)
    torch.manual_seed(0)
    backbone = AlexNet(init="he")
    few = index_of(setting.paths(1 if setting.quick else 4), 16 if setting.quick else 256)
    compute = Compute.resolve(device="cpu")
    network = RegionNetwork(backbone, WarpedCrops(input_size=227), compute=compute, batch=64)
    actions = {str(k): lambda k=k: fit(images, boxes, k, dim) for k in classes}
    seconds = interleaved({**actions, "extraction": lambda: extracted(few, network)}, 1 if setting.quick else 3)
    factor = images * (boxes + 2) / len(few)
    extraction = [one * factor for one in seconds["extraction"]]
    found = []
    for k in classes:
        best, low, high = ratio(seconds[str(k)], extraction)
        medians = (
            statistics.median(seconds[str(k)]),
            "s",
            "extraction of the same regions",
            statistics.median(extraction),
        )
        aim = "0.1 or less" if k == classes[-1] else ""
        found.append(Figure("mining", f"{k} classes, {images} images, {boxes} boxes", *medians, best, low, high, aim))
    fitted = exponent(classes, [statistics.median(seconds[str(k)]) for k in classes])
    return [*found, Figure("mining", "exponent of time over classes", fitted, "")]


def _real(setting: Setting) -> list[Figure]:
    """On a network's features of photographs: their own classes, and each of these cut in four by turns."""
    images, boxes = (4, 16) if setting.quick else (60, 1500)
    config = load_config(ROOT / "projects" / "rcnn" / "squeezenet_svm.yaml", [f"DATA.VOC.ROOT={setting.data}"])
    dataset = Datasets(config)("TRAIN")
    samples, rng = [dataset[i * len(dataset) // images] for i in range(images)], np.random.default_rng(0)
    proposals = [Proposals.unranked(boxes_of(s.size, boxes, rng), s.size) for s in samples]
    indexes = {}
    for parts in (1, 4):
        num_classes = parts * len(dataset.class_names)
        cut = [_cut(sample, parts, turn) for turn, sample in enumerate(samples)]
        indexes[num_classes] = RegionIndex.build(cut, proposals, num_classes)
    backbone = TorchvisionBackbone(arch="squeezenet1_1")
    if setting.weights:
        load_weights(backbone, setting.weights)
    extractor, compute = WarpedCrops(input_size=backbone.input_size), Compute.resolve(device="cpu", compile=True)
    network = RegionNetwork(backbone, extractor, compute=compute, batch=64)
    extracted(index_of(setting.paths(1), 16), network, "pool5")  # compiles
    start = time.perf_counter()
    features = extracted(next(iter(indexes.values())), network, "pool5")
    extraction = time.perf_counter() - start
    found = []
    for num_classes, index in indexes.items():
        svm = LinearSVM(num_classes=num_classes, feature_dim=features.shape[1])
        source = ArraySource(index, features)
        start = time.perf_counter()
        svm.fit(source, np.random.default_rng(0))
        seconds = time.perf_counter() - start
        kind = f"{num_classes} classes of photographs, {images} images, {boxes} boxes"
        name = f"{kind}, SqueezeNet's pool5, {'given' if setting.weights else 'random'} weights"
        beside = ("extraction of the same regions", extraction, seconds / extraction)
        found.append(Figure("mining", name, seconds, "s", *beside, aim="0.1 or less"))
    return found


def _cut(sample: Sample, parts: int, turn: int) -> Sample:
    """The sample with each class cut into ``parts``: an image's objects of one class all belong to one of them."""
    truths = sample.annotations
    assert truths is not None
    return replace(sample, annotations=replace(truths, labels=truths.labels * parts + turn % parts))
