"""Seconds of an image by stage, with warped crops and with a shared map."""

from __future__ import annotations

import statistics

import torch
from figures import Figure
from inputs import Setting
from timing import ratio

from detkit.backbones.base import Backbone
from detkit.backbones.caffenet import AlexNet
from detkit.backbones.torchvision_nets import TorchvisionBackbone
from detkit.box_heads.ridge import Ridge
from detkit.classifiers.linear_svm import LinearSVM
from detkit.clock import Clock
from detkit.data.images import read_image
from detkit.detector import Detector, RegionScorer
from detkit.engine.compute import Compute
from detkit.postprocess import Postprocess
from detkit.proposals.selective_search import SelectiveSearch
from detkit.regions.base import RegionExtractor
from detkit.regions.network import RegionNetwork
from detkit.regions.shared_map import SharedMap
from detkit.regions.warped_crops import WarpedCrops

CLASSES = 20


def figures(setting: Setting) -> list[Figure]:
    """Time by stage, what the whole costs above network and proposals, and warped against shared."""
    found = []
    for name, layer, aim in (("AlexNet", "fc7", 5), ("SqueezeNet", "pool5", 10)):
        torch.manual_seed(0)
        side = 96 if setting.quick and name == "SqueezeNet" else 227
        backbone = (
            AlexNet(init="he") if name == "AlexNet" else TorchvisionBackbone(arch="squeezenet1_1", input_size=side)
        )
        kinds = {"warped": WarpedCrops(input_size=side), "shared": SharedMap(input_size=side)}
        detectors = {kind: _detector(backbone, layer, extractor, setting) for kind, extractor in kinds.items()}
        clocks = _clocks(detectors, setting)
        for kind, own in clocks.items():
            found += _by_stage(f"{name} {kind}", own)
        after = {
            kind: [c.total - c.seconds["decode"] - c.seconds["proposals"] for c in own] for kind, own in clocks.items()
        }
        best, low, high = ratio(after["warped"], after["shared"])
        medians = {kind: statistics.median(times) for kind, times in after.items()}
        what, against = f"{name} shared, after proposals", "warped, after proposals"
        given = (medians["shared"], "s/image", against, medians["warped"], best, low, high, f"{aim} or more")
        found.append(Figure("detection", what, *given))
    return found


def _clocks(detectors: dict[str, Detector], setting: Setting) -> dict[str, list[Clock]]:
    """The stages of each image, warped and shared one after the other."""
    clocks: dict[str, list[Clock]] = {kind: [] for kind in detectors}
    paths = setting.paths(1 if setting.quick else 5)
    for detector in detectors.values():
        detector.detect(paths[0])
    for path in paths:
        for kind, detector in detectors.items():
            clock = Clock()
            with clock("decode"):
                image = read_image(path)
            detector.detect(image, clock=clock)
            clocks[kind].append(clock)
    return clocks


def _by_stage(name: str, clocks: list[Clock]) -> list[Figure]:
    found = [
        Figure("detection", f"{name}, {stage}", statistics.median(c.seconds[stage] for c in clocks), "s/image")
        for stage in clocks[0].seconds
    ]
    whole, least = [c.total for c in clocks], [c.seconds["network"] + c.seconds["proposals"] for c in clocks]
    best, low, high = ratio(whole, least)
    aim = "1.25 or less" if "warped" in name else ""
    medians = (statistics.median(whole), "s/image", "network and proposals alone", statistics.median(least))
    return [*found, Figure("detection", f"{name}, all", *medians, best, low, high, aim)]


def _detector(backbone: Backbone, layer: str, extractor: RegionExtractor, setting: Setting) -> Detector:
    """A detector with random classifiers and regressors, which cost what learnt ones cost."""
    classifier = LinearSVM(num_classes=CLASSES, feature_dim=backbone.layers[layer].dim)
    head = Ridge(num_classes=CLASSES, feature_dim=backbone.layers["pool5"].dim)
    for part in (classifier, head):
        part.load({key: torch.randn(tensor.shape) * 1e-3 for key, tensor in part.state().items()})
    compute = Compute.resolve(device="cpu")
    return Detector(
        class_names=tuple(f"class{k}" for k in range(CLASSES)),
        generator=SelectiveSearch(mode="single" if setting.quick else "fast"),
        network=RegionNetwork(backbone, extractor, compute=compute, batch=64),
        scorer=RegionScorer(classifier, layer, head, "pool5"),
        settings=Postprocess(one_class_per_region=True),
    )
