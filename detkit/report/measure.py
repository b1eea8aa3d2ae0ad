"""Short measurements of what a run will do, on this machine and with its own data."""

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
from detkit.data.base import Dataset
from detkit.data.images import sample_image
from detkit.regions.index import RegionIndex
from detkit.regions.network import RegionNetwork
from detkit.regions.source import NORM_IMAGES
from detkit.run.kinds import PROPOSALS, PROPOSALS_FILE
from detkit.run.runner import Run
from detkit.run.shards import split_images
from detkit.stages.common import build_reader, feature_layers
from detkit.structures import Boxes, Proposals, Sample
from detkit.system.processes import num_cores
from detkit.training.solver import CHECKPOINT, METRICS, SolverSettings

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
        proposals: theirs.
        seconds: of one image's proposals on one core, decoding included; 0 where they had been computed before.
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
    """What features cost.

    Args:
        unit: "region", or "image" where an image's regions are computed together.
        prepare: seconds a unit on one core: decoding, and warping or scaling.
        network: seconds a unit on all threads of the network.
    """

    unit: str
    prepare: float
    network: float

    def seconds(self, images: float, regions: float, *, workers: int, threads: int) -> float:
        """Time of a whole split: what is prepared runs beside the network as far as there are cores for both.

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
    """What one iteration of a training costs.

    Args:
        seconds: of one iteration, batches made beside it as in the run.
        checkpoint: bytes of a checkpoint.
    """

    seconds: float
    checkpoint: int


class Probe:
    """Measures a run's parts, each when it is first asked for; a few seconds each.

    Args:
        run: the run; nothing of it is changed.

    Attributes:
        threads: threads of the network, as the run will have them.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.threads = run.config.RUNTIME.THREADS or torch.get_num_threads()
        torch.set_num_threads(self.threads)

    @cached_property
    def proposed(self) -> ProposedImages:
        """A few images of the first split whose proposals are missing, or of the first split."""
        steps = [step for step in self.run.steps if step.stage.gives == PROPOSALS]
        step = next((s for s in steps if self.run.is_needed(s)), steps[0])
        dataset = step.data[step.role]
        count = min(IMAGES, len(dataset))
        places = [len(dataset) * (2 * i + 1) // (2 * count) for i in range(count)]
        samples = [dataset[i] for i in places]
        found = self.run.find(PROPOSALS, step.role)
        if found is not None:
            stored = split_images(found / PROPOSALS_FILE)
            proposals = [Proposals(Boxes(stored[i]["boxes"]), stored[i]["objectness"], dataset[i].size) for i in places]
            return ProposedImages(samples, proposals, 0.0)
        generator = build(self.run.config, "PROPOSALS")
        start = time.perf_counter()
        proposals = [generator.propose(sample_image(s), s.image_id) for s in samples]
        return ProposedImages(samples, proposals, (time.perf_counter() - start) / count)

    def boxes(self, role: str) -> float:
        """Proposals of a split: those that are there, else as many an image as in the measured ones."""
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
        """One network pass of RUNTIME.BATCH crops, or of one image, after another that warms up."""
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
        """The regions of a part of a split; each image has the measured proposals of another, stretched to its size."""
        samples = [dataset[i] for i in range(min(len(dataset), STEP_IMAGES))]
        known = self.proposed.proposals
        proposals = [_stretched(known[i % len(known)], sample.size) for i, sample in enumerate(samples)]
        return RegionIndex.build(samples, proposals, len(dataset.class_names))

    def feature_seconds(self, role: str) -> float:
        """Seconds in which the features of a split's regions are computed."""
        run, dataset = self.run, self.run.datasets(role)
        regions = self.boxes(role)
        if role != "TEST":
            most = run.config.PROPOSALS.TRAIN_MAX_BOXES
            regions = min(regions, most * len(dataset)) if most else regions
            regions += sum(len(sample.annotations) for sample in dataset if sample.annotations is not None)
        return self.features.seconds(len(dataset), regions, workers=run.workers, threads=self.threads)

    def share_of_sample(self, role: str, of_image: int) -> float:
        """The part of a split's proposals in the sample that a learner takes the mean norm of.

        Args:
            role: of the split.
            of_image: regions of an image in the sample.
        """
        count = len(self.run.datasets(role))
        drawn = min(count, NORM_IMAGES) * min(of_image, self.boxes(role) / max(count, 1))
        return drawn / max(self.boxes(role), 1)

    @staticmethod
    def short(settings: Settings) -> Settings:
        """A few steps at a rate that leaves random weights as they are, so that no loss can leave the numbers."""
        return replace(settings, iterations=STEPS, lr=1e-12, head_norm=0.0)

    def training(self, train: Callable[[dict[str, Any]], object]) -> TrainingStep:
        """What a step costs of a short training, which is called with device, workers, seed and folder by name."""
        given = {"compute": self.run.compute, "workers": self.run.workers, "seed": self.run.config.SEED}
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            train({**given, "folder": folder})
            last = json.loads((folder / METRICS).read_text(encoding="utf-8").splitlines()[-1])
            return TrainingStep(last["seconds"], (folder / CHECKPOINT).stat().st_size)

    def scoring(self, num_classes: int) -> float:
        """Seconds in which the classifier scores the regions of an image for all classes at once."""
        classifier, layer = build_reader(self.run.config, "CLASSIFIER", num_classes)
        features = torch.randn(max(1, round(self.proposed.boxes)), feature_layers(self.run.config)[layer].dim)
        classifier.score(features)
        return timed(lambda: classifier.score(features))[0]

    @cached_property
    def backbone(self) -> Backbone:
        """The network with random weights: what they are does not change how long it takes."""
        backbone: Backbone = build(self.run.config, "BACKBONE")
        return backbone.eval()


def timed(action: Callable[[], Given]) -> tuple[float, Given]:
    """Seconds of a call, and what it gives."""
    start = time.perf_counter()
    given = action()
    return time.perf_counter() - start, given


def _stretched(found: Proposals, size: tuple[int, int]) -> Proposals:
    """Proposals of one image as those of another."""
    height, width = found.image_size
    scale = torch.tensor([size[1] / width, size[0] / height] * 2)
    return Proposals(Boxes(found.boxes.tensor * scale), found.objectness, size)
