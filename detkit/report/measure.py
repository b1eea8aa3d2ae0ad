"""Short measurements of the parts of a run, on this machine and with the run's data."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from detkit.backbones.base import Backbone
from detkit.config.build import build
from detkit.config.node import Config
from detkit.data.base import Dataset
from detkit.data.images import sample_image
from detkit.regions.index import RegionIndex
from detkit.regions.network import RegionNetwork
from detkit.regions.source import NORM_IMAGES
from detkit.run.kinds import PROPOSALS, PROPOSALS_FILE
from detkit.run.runner import Run
from detkit.run.shards import split_images
from detkit.stages.readers import build_reader, feature_layers
from detkit.stages.regions import read_proposals
from detkit.structures import Boxes, Proposals, Sample
from detkit.system.processes import num_cores
from detkit.training.solver import CHECKPOINT, STEPS_FILE, SolverSettings

Settings = TypeVar("Settings", bound=SolverSettings)
Given = TypeVar("Given")

IMAGES = 3
"""Images whose proposals are computed to see how long that takes."""
STEP_IMAGES = 128
"""Images that a measured fine-tuning step may draw from, so that it decodes about as many as a real one."""
STEPS = 2
"""Steps of a measured training; the first one is slower than those that follow."""


@dataclass(frozen=True, eq=False)
class ProposedImages:
    """Images whose proposals are known.

    Args:
        samples: the images.
        proposals: proposals of these images.
        seconds: time of one image's proposals on one core, with decoding; 0 if they were computed before.
    """

    samples: list[Sample]
    proposals: list[Proposals]
    seconds: float

    @property
    def boxes(self) -> float:
        """Mean number of proposals of an image."""
        return sum(map(len, self.proposals)) / len(self.proposals)


@dataclass(frozen=True)
class Pass:
    """The cost of features.

    Args:
        unit: "region", or "image" if an image's regions are computed together.
        prepare: seconds per unit on one core, for decoding and warping or scaling.
        network: seconds per unit on all threads of the network.
    """

    unit: str
    prepare: float
    network: float

    def seconds(self, images: float, regions: float, *, workers: int, threads: int) -> float:
        """Seconds for a whole split. Preparation runs beside the network as far as there are cores for both.

        Args:
            images: images of the split.
            regions: regions of the split.
            workers: threads that prepare; 0 prepares between the passes.
            threads: threads of the network.
        """
        count = regions if self.unit == "region" else images
        if workers == 0:
            return count * (self.prepare + self.network)
        shared = (self.prepare + self.network * threads) / max(num_cores(), threads)
        return count * max(self.network, self.prepare / workers, shared)


@dataclass(frozen=True)
class TrainingStep:
    """The cost of one training iteration.

    Args:
        seconds: time of one iteration, with batches made ahead as in the run.
        checkpoint: bytes of a checkpoint.
    """

    seconds: float
    checkpoint: int


class Probe:
    """Measures the parts of a run, each at its first use, for a few seconds.

    Args:
        run: the run; it is not changed.

    Attributes:
        threads: number of the network's threads in the run.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.threads = run.config.RUNTIME.THREADS or torch.get_num_threads()
        torch.set_num_threads(self.threads)

    @cached_property
    def proposed(self) -> ProposedImages:
        """A few images with proposals, from the first split that lacks proposals, or else from the first split."""
        steps = [step for step in self.run.steps if step.stage.gives == PROPOSALS]
        step = next((s for s in steps if self.run.is_needed(s)), steps[0])
        dataset = step.data[step.role]
        count = min(IMAGES, len(dataset))
        places = [len(dataset) * (2 * i + 1) // (2 * count) for i in range(count)]
        samples = [dataset[i] for i in places]
        found = self.run.find(PROPOSALS, step.role)
        if found is not None:
            proposals = read_proposals(found, dataset)
            return ProposedImages(samples, [proposals[i] for i in places], 0.0)
        generator = build(self.run.config, "PROPOSALS")
        start = time.perf_counter()
        proposals = [generator.propose(sample_image(s), s.image_id) for s in samples]
        return ProposedImages(samples, proposals, (time.perf_counter() - start) / count)

    def boxes(self, role: str) -> float:
        """Number of proposals of a split: the stored ones, else estimated from the measured images."""
        found = self.run.find(PROPOSALS, role)
        if found is not None:
            return sum(len(one["boxes"]) for one in split_images(found / PROPOSALS_FILE))
        return self.proposed.boxes * len(self.run.datasets(role))

    def index(self, num_classes: int, *, with_truths: bool) -> RegionIndex:
        """The regions of the measured images."""
        samples, proposals = self.proposed.samples, self.proposed.proposals
        return RegionIndex.build(samples, proposals, num_classes, with_truths=with_truths)

    @cached_property
    def features(self) -> Pass:
        """The cost of a network pass of RUNTIME.BATCH crops, or of one image, after a first pass to warm up."""
        backbone = self.backbone
        config, sample = self.run.config, self.proposed.samples[0]
        extractor = build(config, "REGION_EXTRACTOR", input_size=backbone.input_size)
        network = RegionNetwork(backbone, extractor, compute=self.run.compute, batch=config.RUNTIME.BATCH)
        decode, image = timed(lambda: sample_image(sample))
        found = self.proposed.proposals[0].boxes
        count = len(found) if extractor.per_image else config.RUNTIME.BATCH
        boxes = found[torch.arange(max(count, 1)) % max(len(found), 1)] if len(found) else Boxes.of([(0, 0, 8, 8)])
        warp, inputs = timed(lambda: extractor.prepare(image, boxes, np.zeros(len(boxes), bool)))
        layers = [backbone.last_layer]
        network.forward([inputs], layers)
        seconds, _ = timed(lambda: network.forward([inputs], layers))
        if extractor.per_image:
            return Pass("image", decode + warp, seconds)
        return Pass("region", decode / max(self.proposed.boxes, 1) + warp / len(boxes), seconds / len(boxes))

    def stretched_index(self, dataset: Dataset) -> RegionIndex:
        """The regions of a part of a split. Each image gets the proposals of a measured one, scaled to its size."""
        samples = [dataset[i] for i in range(min(len(dataset), STEP_IMAGES))]
        known = self.proposed.proposals
        proposals = [_stretched(known[i % len(known)], sample.size) for i, sample in enumerate(samples)]
        return RegionIndex.build(samples, proposals, len(dataset.class_names))

    def feature_seconds(self, config: Config, role: str) -> float:
        """Seconds to compute the features of a split's regions, for a step with this config."""
        run, dataset = self.run, self.run.datasets(role)
        regions = self.boxes(role)
        if role != "TEST":
            most = config.PROPOSALS.TRAIN_MAX_BOXES
            regions = min(regions, most * len(dataset)) if most else regions
            regions += sum(len(sample.annotations) for sample in dataset if sample.annotations is not None)
        return self.features.seconds(len(dataset), regions, workers=run.workers, threads=self.threads)

    def share_of_sample(self, role: str, of_image: int) -> float:
        """The share of a split's proposals in the sample for the mean norm of features.

        Args:
            role: role of the split.
            of_image: number of regions of an image in the sample.
        """
        count = len(self.run.datasets(role))
        drawn = min(count, NORM_IMAGES) * min(of_image, self.boxes(role) / max(count, 1))
        return drawn / max(self.boxes(role), 1)

    @staticmethod
    def short(settings: Settings) -> Settings:
        """Settings for a few steps at a learning rate so low that the loss of random weights stays finite."""
        return replace(settings, iterations=STEPS, lr=1e-12, head_norm=0.0)

    def training(self, train: Callable[[dict[str, Any]], object]) -> TrainingStep:
        """The cost of a step of a short training, which is called with device, workers, seed and folder by name."""
        given = {"compute": self.run.compute, "workers": self.run.workers, "seed": self.run.config.SEED}
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            train({**given, "folder": folder})
            last = json.loads((folder / STEPS_FILE).read_text(encoding="utf-8").splitlines()[-1])
            return TrainingStep(last["seconds"], (folder / CHECKPOINT).stat().st_size)

    def scoring(self, config: Config, num_classes: int) -> float:
        """Seconds for scoring the regions of an image for all classes at once, by the classifier of a step's config."""
        classifier, layer = build_reader(config, "CLASSIFIER", num_classes)
        features = torch.randn(max(1, round(self.proposed.boxes)), feature_layers(config)[layer].dim)
        classifier.score(features)
        return timed(lambda: classifier.score(features))[0]

    @cached_property
    def backbone(self) -> Backbone:
        """The network with random weights, which take as long as any others."""
        backbone: Backbone = build(self.run.config, "BACKBONE")
        return backbone.eval()


def timed(action: Callable[[], Given]) -> tuple[float, Given]:
    """Seconds of a call, and its result."""
    start = time.perf_counter()
    given = action()
    return time.perf_counter() - start, given


def _stretched(found: Proposals, size: tuple[int, int]) -> Proposals:
    """Proposals of one image as those of another."""
    height, width = found.image_size
    scale = torch.tensor([size[1] / width, size[0] / height] * 2)
    return Proposals(Boxes(found.boxes.tensor * scale), found.objectness, size)
