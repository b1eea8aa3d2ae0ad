"""Seconds of an image, alone and in a folder, with warped crops and with a shared map."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from figures import Figure
from inputs import Setting, boxes_of
from timing import interleaved, ratio

from detkit.backbones.base import Backbone
from detkit.backbones.caffenet import AlexNet
from detkit.backbones.torchvision_nets import TorchvisionBackbone
from detkit.box_heads.ridge import Ridge
from detkit.classifiers.linear_svm import LinearSVM
from detkit.data.images import read_image
from detkit.detection.detector import Detector
from detkit.detection.postprocess import Postprocess
from detkit.detection.scorer import RegionScorer
from detkit.proposals.base import ProposalGenerator
from detkit.proposals.selective_search import SelectiveSearch
from detkit.regions.base import RegionExtractor
from detkit.regions.network import RegionNetwork
from detkit.regions.shared_map import SharedMap
from detkit.regions.warped_crops import WarpedCrops
from detkit.report.detect_images import Outputs, detected
from detkit.structures import Proposals
from detkit.system.clock import Clock
from detkit.system.compute import Compute

CLASSES = 20
BOXES = 1500
"""Regions of a drawn image, in which selective search finds a few hundred only."""


class DrawnBoxes(ProposalGenerator):
    """The same number of boxes in every image, in no time."""

    def __init__(self, count: int) -> None:
        self.count = count

    def propose(self, image: np.ndarray, image_id: str = "") -> Proposals:
        """Boxes like those of selective search, the same for images of one size."""
        size = (image.shape[0], image.shape[1])
        return Proposals.unranked(boxes_of(size, self.count, np.random.default_rng(0)), size)


def figures(setting: Setting) -> list[Figure]:
    """Time by stage, latency, what a folder costs above network and proposals, and warped against shared."""
    paths = setting.paths(1 if setting.quick else 5)
    generator: ProposalGenerator = DrawnBoxes(32 if setting.quick else BOXES)
    if setting.data is not None and not setting.quick:
        generator = SelectiveSearch(mode="paper")
    counts = [len(generator.propose(read_image(path))) for path in paths]
    found = [Figure("detection", "proposals of an image", statistics.median(counts), "boxes")]
    for name, layer, aim in (("AlexNet", "fc7", 5), ("SqueezeNet", "pool5", 10)):
        torch.manual_seed(0)
        side = 96 if setting.quick and name == "SqueezeNet" else 227
        backbone = (
            AlexNet(init="he") if name == "AlexNet" else TorchvisionBackbone(arch="squeezenet1_1", input_size=side)
        )
        kinds = {"warped": WarpedCrops(input_size=side), "shared": SharedMap(input_size=side)}
        detectors = {kind: _detector(backbone, layer, extractor, generator) for kind, extractor in kinds.items()}
        after = {}
        for kind, runs in _alone(detectors, paths).items():
            found += _by_stage(f"{name} {kind}", runs)
            after[kind] = [wall - c.seconds["decode"] - c.seconds["proposals"] for wall, c in runs]
        best, low, high = ratio(after["warped"], after["shared"])
        medians = {kind: statistics.median(times) for kind, times in after.items()}
        what, against = f"{name} shared, after proposals", "warped, after proposals"
        given = (medians["shared"], "s/image", against, medians["warped"], best, low, high, f"{aim} or more")
        found.append(Figure("detection", what, *given))
        found += [_folder(f"{name} {kind}", detector, paths, setting) for kind, detector in detectors.items()]
    return found


def _alone(detectors: dict[str, Detector], paths: list[Path]) -> dict[str, list[tuple[float, Clock]]]:
    """Seconds and stages of each image by itself, warped and shared one after the other."""
    runs: dict[str, list[tuple[float, Clock]]] = {kind: [] for kind in detectors}
    for detector in detectors.values():
        detector.detect(paths[0])
    for path in paths:
        for kind, detector in detectors.items():
            clock, start = Clock(), time.perf_counter()
            detector.detect(path, clock=clock)
            runs[kind].append((time.perf_counter() - start, clock))
    return runs


def _by_stage(name: str, runs: list[tuple[float, Clock]]) -> list[Figure]:
    found = [
        Figure("detection", f"{name}, {stage}", statistics.median(c.seconds[stage] for _, c in runs), "s/image")
        for stage in runs[0][1].seconds
    ]
    latency = statistics.median(wall for wall, _ in runs)
    return [*found, Figure("detection", f"{name}, latency of a single image", latency, "s/image")]


def _folder(name: str, detector: Detector, paths: list[Path], setting: Setting) -> Figure:
    """Reading, proposals, network, pictures of a folder, against its proposals and network passes by themselves."""
    images = [read_image(path) for path in paths]
    network = detector.network
    passes = []
    for image in images:
        boxes = detector.generator.propose(image).boxes
        step = len(boxes) if network.extractor.hands_over_images else network.batch
        pieces = [boxes[start : start + step] for start in range(0, len(boxes), step)]
        passes += [(image, piece, np.zeros(len(piece), bool)) for piece in pieces]

    def needed() -> float:
        start = time.perf_counter()
        for image in images:
            detector.generator.propose(image)
        seconds = time.perf_counter() - start
        for one in passes:
            prepared = network.extractor.prepare(*one)
            start = time.perf_counter()
            network.forward([prepared], detector.scorer.layers)
            seconds += time.perf_counter() - start
        return seconds

    least: list[float] = []
    with tempfile.TemporaryDirectory() as pictures:
        files = [(f"{i:03d}", path) for i, path in enumerate(paths)]
        actions = {
            "whole": lambda: detected(detector, files, Outputs(Path(pictures)), workers=1),
            "needed": lambda: least.append(needed()),
        }
        whole = interleaved(actions, 1 if setting.quick else 3)["whole"]
    least = least[1:]  # the first one warmed up
    best, low, high = ratio(whole, least)
    medians = (statistics.median(whole) / len(paths), "s/image", "its network and proposals alone")
    base = statistics.median(least) / len(paths)
    aim = "1.25 or less" if "warped" in name else ""
    return Figure("detection", f"{name}, a folder of {len(paths)}", *medians, base, best, low, high, aim)


def _detector(backbone: Backbone, layer: str, extractor: RegionExtractor, generator: ProposalGenerator) -> Detector:
    """A detector with random classifiers and regressors, which cost what learnt ones cost."""
    classifier = LinearSVM(num_classes=CLASSES, feature_dim=backbone.layers[layer].dim)
    head = Ridge(num_classes=CLASSES, feature_dim=backbone.layers["pool5"].dim)
    for part in (classifier, head):
        part.load({key: torch.randn(tensor.shape) * 1e-3 for key, tensor in part.state().items()})
    compute = Compute.resolve(device="cpu")
    return Detector(
        class_names=tuple(f"class{k}" for k in range(CLASSES)),
        generator=generator,
        network=RegionNetwork(backbone, extractor, compute=compute, batch=64),
        scorer=RegionScorer(classifier, layer, head, "pool5"),
        settings=Postprocess(one_class_per_region=True),
    )
