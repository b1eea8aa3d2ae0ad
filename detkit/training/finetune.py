"""Fine-tuning of a backbone on regions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from detkit.backbones.base import Backbone
from detkit.config.ranges import Fraction, NonNegative, Positive
from detkit.errors import ConfigError
from detkit.regions.base import RegionExtractor, RegionSampler
from detkit.regions.index import RegionIndex
from detkit.regions.source import LinearHead
from detkit.system.compute import Compute
from detkit.system.seeding import rng_for
from detkit.system.world import ALONE, World
from detkit.training.freeze import freeze_before
from detkit.training.jitter import Jitter
from detkit.training.region_objective import RegionObjective
from detkit.training.solver import SolverSettings, train
from detkit.training.validation import Validation


@dataclass(frozen=True, kw_only=True)
class FinetuneSettings(SolverSettings):
    """How the network is fine-tuned. Defaults are the paper's constants.

    Source: R-CNN, section 2.3; the solver and network definitions of its code.

    Args:
        foreground_iou: smallest IoU with an object at which a region is foreground, of the class of the object that it
            overlaps best.
        background_from: smallest best IoU with an object at which a region is background.
        background_below: a region with this best IoU or more is no background; null takes FOREGROUND_IOU. A region that
            is neither foreground nor background is never drawn.
        tune_from: first layer of the backbone that is trained, by the name of its parameters ("conv3", "features.10").
            Earlier layers stay as they are and need no gradient. "heads" trains the new heads only; empty trains all
            layers, as R-CNN does.
        jitter_boxes: maximal random shift of each edge of a region, as a share of the region's side, drawn anew in each
            step. The region keeps its label. 0 moves no edge, as in R-CNN.
        jitter_colours: maximal random change of brightness, contrast and saturation of an image in a step, as a share.
        validate_every: number of steps between measurements of loss and accuracy on DATA.VAL; there is one more after
            the last step. 0 measures never.
        validate_batches: number of batches in such a measurement. They are drawn as in training, and are the same each
            time.
        allow_whole_images: allows an extractor that convolves whole images with a sampler that draws from many images
            in a step, which is slow.

    Raises:
        ConfigError: unless BACKGROUND_FROM < BACKGROUND_BELOW <= FOREGROUND_IOU.
    """

    iterations: Annotated[int, Positive] = 70_000
    lr: Annotated[float, Positive] = 0.001
    lr_drop_every: Annotated[int, Positive] = 20_000
    head_lr_factor: Annotated[float, Positive] = 10.0
    foreground_iou: Annotated[float, Positive, Fraction] = 0.5
    background_from: Annotated[float, Fraction] = 0.0
    background_below: Annotated[float, Fraction] | None = None
    tune_from: str = ""
    jitter_boxes: Annotated[float, Fraction] = 0.0
    jitter_colours: Annotated[float, Fraction] = 0.0
    validate_every: Annotated[int, NonNegative] = 0
    validate_batches: Annotated[int, Positive] = 10
    allow_whole_images: bool = False

    def __post_init__(self) -> None:
        end = self.foreground_iou if self.background_below is None else self.background_below
        if not self.background_from < end <= self.foreground_iou:
            raise ConfigError(
                f"FINETUNE: background is from IoU {self.background_from} to below {end}, foreground from "
                f"{self.foreground_iou}; allowed: BACKGROUND_FROM < BACKGROUND_BELOW <= FOREGROUND_IOU"
            )

    @property
    def labels(self) -> dict[str, Any]:
        """The thresholds that label regions, as ``RegionIndex.build`` names them."""
        names = ("foreground_iou", "background_from", "background_below")
        return {name: getattr(self, name) for name in names}


def finetune(
    backbone: Backbone,
    objective: RegionObjective,
    settings: FinetuneSettings,
    *,
    compute: Compute,
    workers: int,
    seed: int,
    folder: Path,
    world: World = ALONE,
    validation: RegionIndex | None = None,
    tensorboard: Path | None = None,
) -> dict[str, LinearHead]:
    """Trains the backbone and the objective's heads on regions, in place.

    Args:
        backbone: the network to start from; left in eval mode on the device of ``compute``.
        objective: what the network is tuned to.
        settings: the config section FINETUNE.
        compute: device and dtype.
        workers: threads that decode and warp.
        seed: fixes every random number.
        folder: holds the checkpoint and metrics.jsonl; an interrupted run resumes from them.
        world: the processes that share each step.
        validation: regions of other images, for the measurements of ``settings.validate_every``.
        tensorboard: folder of event files of the metrics; None writes none.

    Returns:
        The heads by name.

    Raises:
        ConfigError: if each step would convolve about as many images as it has regions, if TUNE_FROM names no layer,
            or if JITTER_BOXES is above 0 and the objective learns where regions are.
        DataError: if there is no region to draw, or an image cannot be read.
        DetkitError: if the loss is nan or infinite.
    """
    refuse_costly_steps(objective.extractor, objective.sampler, settings)
    objective.extractor.run_on(compute.device)
    freeze_before(backbone, settings.tune_from)
    refuse_moved_regions(objective, settings)
    if settings.jitter_boxes or settings.jitter_colours:
        objective.jitter = Jitter(settings.jitter_boxes, settings.jitter_colours)
    measured = None
    # A draw fills what the index caches before threads ask for it.
    objective.sampler.draw(objective.index, rng_for(seed, "finetune", "draw", 0))
    if validation is not None:
        objective.sampler.draw(validation, rng_for(seed, "finetune", "draw", 0))
        measured = Validation(objective.on(validation), settings.validate_every, settings.validate_batches)
    given: dict[str, Any] = {"compute": compute, "workers": workers, "seed": seed, "folder": folder, "world": world}
    train(backbone, objective, settings, name="finetune", validation=measured, tensorboard=tensorboard, **given)
    return objective.heads()


def refuse_costly_steps(extractor: RegionExtractor, sampler: RegionSampler, settings: FinetuneSettings) -> None:
    """Refuses to convolve whole images for regions that are drawn from all of them.

    Raises:
        ConfigError: if ``extractor`` convolves whole images and ``sampler`` draws from all images; it names the sampler
            that fits, and the key that allows the pair.
    """
    if extractor.per_image and not (sampler.image_centric or settings.allow_whole_images):
        raise ConfigError(
            f"REGION_SAMPLER.NAME: {type(sampler).__name__} draws from the whole data set, so each step would convolve "
            f"about as many images as it has regions with {type(extractor).__name__}; use ImageCentric, "
            "or allow it with FINETUNE.ALLOW_WHOLE_IMAGES true"
        )


def refuse_moved_regions(objective: RegionObjective, settings: FinetuneSettings) -> None:
    """Refuses to move regions at random if the objective learns where they are.

    Raises:
        ConfigError: if JITTER_BOXES is above 0 and the objective takes no moved regions.
    """
    if settings.jitter_boxes and not objective.takes_moved_regions:
        raise ConfigError(
            f"FINETUNE.JITTER_BOXES: {settings.jitter_boxes}, but {type(objective).__name__} learns where regions are; "
            "allowed with it: 0"
        )
