"""How the cost of extraction, mining, proposals and what follows the features grows with what it works on."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np
import torch
from extraction import extracted
from figures import Figure
from inputs import Setting, boxes_of, index_of
from mining import SIZE, fit
from timing import exponent, interleaved

from detkit.backbones.caffenet import AlexNet
from detkit.box_heads.ridge import Ridge
from detkit.classifiers.linear_svm import LinearSVM
from detkit.data.images import read_image
from detkit.detection.postprocess import Postprocess, finish
from detkit.detection.scorer import RegionScorer
from detkit.proposals.selective_search import SelectiveSearch
from detkit.regions.network import RegionNetwork
from detkit.regions.warped_crops import WarpedCrops
from detkit.system.compute import Compute


def figures(setting: Setting) -> list[Figure]:
    """Fitted exponents; 1 is a cost that grows in proportion. Classes are a curve of the family mining."""
    torch.manual_seed(0)
    compute = Compute.resolve(device="cpu")
    network = RegionNetwork(AlexNet(init="he"), WarpedCrops(input_size=227), compute=compute, batch=64)
    images, boxes, dim = ((1, 2), (64, 128), 64) if setting.quick else ((2, 4, 8, 16), (64, 128, 256, 512), 4096)
    by_images = {n: index_of(setting.paths(n), boxes[0]) for n in images}
    by_boxes = {n: index_of(setting.paths(images[0]), n) for n in boxes}
    by_classes = {k: Classified(k, boxes[-1], dim) for k in ((2, 4) if setting.quick else (1, 5, 20, 100))}
    by_pixels = _resized(setting, (0.25, 0.5) if setting.quick else (0.5, 1.0, 1.5, 2.0))
    search = SelectiveSearch(mode="single" if setting.quick else "fast")
    curves: dict[str, dict[int, Callable[[], object]]] = {
        "extraction over images": {n: partial(extracted, i, network) for n, i in by_images.items()},
        "extraction over proposals": {n: partial(extracted, i, network) for n, i in by_boxes.items()},
        "mining over images": {16 * n: partial(fit, 16 * n, boxes[0], 5, dim) for n in images},
        "mining over proposals": {n: partial(fit, 32, n, 5, dim) for n in boxes},
        "scoring, refining and NMS over classes": {k: one.detections for k, one in by_classes.items()},
        "proposals over pixels": {n: partial(search.propose, i) for n, i in by_pixels.items()},
    }
    found = []
    for name, points in curves.items():
        seconds = interleaved({str(n): action for n, action in points.items()}, 1 if setting.quick else 3)
        medians = [statistics.median(seconds[str(n)]) for n in points]
        for n, median in zip(points, medians, strict=True):
            found.append(Figure("curves", f"{name}: {n}", median, "s"))
        found.append(Figure("curves", f"exponent of {name}", exponent(list(points), medians), ""))
    return found


class Classified:
    """What follows the features of an image with K classes: random classifiers and regressors on random features.

    Args:
        num_classes: K.
        boxes: regions of the image.
        dim: numbers of a feature.
    """

    def __init__(self, num_classes: int, boxes: int, dim: int) -> None:
        classifier = LinearSVM(num_classes=num_classes, feature_dim=dim)
        head = Ridge(num_classes=num_classes, feature_dim=dim)
        for part in (classifier, head):
            part.load({key: torch.randn(tensor.shape) * 1e-3 for key, tensor in part.state().items()})
        self.scorer = RegionScorer(classifier, "fc7", head, "fc7")
        self.boxes = boxes_of(SIZE, boxes, np.random.default_rng(0))
        self.features = {"fc7": torch.rand(boxes, dim)}

    def detections(self) -> object:
        """Scored, capped, refined, suppressed: every class keeps what its cap lets through."""
        settings = Postprocess()
        found = self.scorer.candidates(self.boxes, self.features, settings)
        return finish(found.refined, found.scores, found.labels, found.rows, SIZE, settings)


def _resized(setting: Setting, factors: tuple[float, ...]) -> dict[int, np.ndarray]:
    """{pixels: the first image with its sides so many times as long}."""
    image = read_image(setting.paths(1)[0])
    resized = [cv2.resize(image, None, fx=factor, fy=factor) for factor in factors]
    return {one.shape[0] * one.shape[1]: one for one in resized}
