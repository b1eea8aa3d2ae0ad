"""Fine-tuning of a backbone on regions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from torch import Tensor

from detkit.backbones.base import Backbone
from detkit.config.ranges import Positive
from detkit.data.images import read_image
from detkit.errors import ConfigError
from detkit.regions.base import RegionExtractor, RegionSampler, checked_rows
from detkit.regions.index import RegionIndex
from detkit.regions.source import LinearHead
from detkit.system.compute import Compute
from detkit.system.seeding import rng_for
from detkit.system.world import ALONE, World
from detkit.training.solver import Batch, SolverSettings, Task, train


@dataclass(frozen=True, kw_only=True)
class FinetuneSettings(SolverSettings):
    """How the network is fine-tuned; the paper's constants.

    Source: R-CNN, section 2.3; the solver and network definitions of its code.

    Args:
        allow_whole_images: lets an extractor that convolves whole images learn from regions of many images a step.
    """

    iterations: Annotated[int, Positive] = 70_000
    lr: Annotated[float, Positive] = 0.001
    lr_drop_every: Annotated[int, Positive] = 20_000
    head_lr_factor: Annotated[float, Positive] = 10.0
    allow_whole_images: bool = False


def finetune(
    backbone: Backbone,
    index: RegionIndex,
    extractor: RegionExtractor,
    sampler: RegionSampler,
    settings: FinetuneSettings,
    *,
    compute: Compute,
    workers: int,
    seed: int,
    folder: Path,
    world: World = ALONE,
) -> LinearHead:
    """Trains the backbone, in place, to tell the K classes and background of regions apart.

    The metrics hold, beside the loss, the share of right answers among foreground and among background regions of the
    training batches.

    Args:
        backbone: where training starts; left in eval mode on the device of ``compute``.
        index: the regions, with their fine-tuning labels.
        extractor: how regions become features.
        sampler: which regions make a step.
        settings: the config section FINETUNE.
        compute: device and dtype.
        workers: threads that decode and warp.
        seed: with it every random number is fixed.
        folder: keeps the checkpoint and metrics.jsonl; a run that was cut off goes on from there.
        world: the processes that share each step.

    Returns:
        The new last layer: K classes, then background.

    Raises:
        ConfigError: each step would convolve about as many images as it has regions.
        DataError: there is nothing to draw from, or an image cannot be read.
        DetkitError: the loss is no number.
    """
    refuse_costly_steps(extractor, sampler, settings)
    extractor.run_on(compute.device)
    batches = RegionBatches(index, extractor, sampler, mirror=settings.mirror, seed=seed)
    sampler.draw(index, rng_for(seed, "finetune", "draw", 0))  # fills what the index caches before threads ask for it
    task = Task(
        name="finetune",
        num_outputs=index.num_classes + 1,
        make_batch=batches,
        features=lambda inputs: extractor.forward(backbone, inputs, [backbone.last_layer])[backbone.last_layer],
        right=regions_right,
    )
    head = train(backbone, task, settings, compute=compute, workers=workers, seed=seed, folder=folder, world=world)
    return LinearHead(head.weight.detach().cpu(), head.bias.detach().cpu())


def refuse_costly_steps(extractor: RegionExtractor, sampler: RegionSampler, settings: FinetuneSettings) -> None:
    """Refuses to convolve whole images for regions that are drawn from all of them.

    Raises:
        ConfigError: naming the sampler that fits, and the key that allows it.
    """
    if extractor.per_image and not (sampler.image_centric or settings.allow_whole_images):
        raise ConfigError(
            f"REGION_SAMPLER.NAME: {type(sampler).__name__} draws from the whole data set, so each step would convolve "
            f"about as many images as it has regions with {type(extractor).__name__}; use ImageCentric, "
            "or allow it with FINETUNE.ALLOW_WHOLE_IMAGES true"
        )


@dataclass(frozen=True, eq=False)
class RegionBatches:
    """Makes the batch of an iteration: draws its regions, decodes each of their images once, prepares them.

    Args:
        index: the regions.
        extractor: prepares them.
        sampler: draws them.
        mirror: whether each region is mirrored with probability one half.
        seed: with the iteration's number, all that a batch depends on.
    """

    index: RegionIndex
    extractor: RegionExtractor
    sampler: RegionSampler
    mirror: bool
    seed: int

    def __call__(self, iteration: int, world: World = ALONE) -> Batch:
        """The batch, its regions grouped by image; each process takes some of the images."""
        rng = rng_for(self.seed, "finetune", "draw", iteration)
        rows = checked_rows(self.sampler, self.sampler.draw(self.index, rng), self.index)
        flips = rng.random(len(rows)) < 0.5 if self.mirror else np.zeros(len(rows), bool)
        inputs, order, ids = [], [np.zeros(0, np.int64)], []
        for image, positions in world.own(list(self.index.by_image(rows))):
            sample = self.index.samples[image]
            boxes = self.index.boxes[rows[positions]]
            inputs.append(self.extractor.prepare(read_image(sample.path), boxes, flips[positions]))
            order.append(positions)
            ids.append(sample.image_id)
        return Batch(inputs, self.index.label[rows[np.concatenate(order)]], ids, total=len(rows))


def regions_right(scores: Tensor, labels: Tensor) -> dict[str, tuple[int, int]]:
    """How many foreground and how many background regions are told right, of how many.

    Args:
        scores: (N, K+1), background last.
        labels: (N,) int64 0..K.
    """
    right = scores.argmax(1) == labels
    is_background = labels == scores.shape[1] - 1
    kinds = {"foreground_accuracy": right[~is_background], "background_accuracy": right[is_background]}
    return {name: (int(of_kind.sum()), len(of_kind)) for name, of_kind in kinds.items()}
