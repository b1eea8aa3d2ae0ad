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
    """How the network is fine-tuned; the paper's constants.

    Source: R-CNN, section 2.3; the solver and network definitions of its code.

    Args:
        foreground_iou: least IoU with an object of a foreground region, which has the object's class.
        background_from: least IoU with an object, its best one, of a background region.
        background_below: a background region's best IoU is below it; null takes FOREGROUND_IOU. What is neither
            foreground nor background is never drawn.
        tune_from: the layer of the backbone from which on it is learnt, as its parameters are named ("conv3",
            "features.10"); what stands before it stays as it is and costs no gradient. "heads" learns the new heads
            alone; empty learns everything, as R-CNN does.
        jitter_boxes: most that an edge of a region moves in a step, drawn anew, as a share of the region's side; the
            region keeps its label. 0 moves none, as in R-CNN.
        jitter_colours: most that brightness, contrast and saturation of an image change in a step, as a share.
        validate_every: steps after which loss and accuracy are measured on DATA.VAL, and once after the last; 0 for
            never.
        validate_batches: batches of such a measurement, drawn as those of training and always the same.
        allow_whole_images: lets an extractor that convolves whole images learn from regions of many images a step.

    Raises:
        ConfigError: no overlap would be background, or one would be background and foreground.
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
    """Trains the backbone, in place, and the objective's heads on regions.

    Args:
        backbone: where training starts; left in eval mode on the device of ``compute``.
        objective: what the network is tuned to.
        settings: the config section FINETUNE.
        compute: device and dtype.
        workers: threads that decode and warp.
        seed: with it every random number is fixed.
        folder: keeps the checkpoint and metrics.jsonl; a run that was cut off goes on from there.
        world: the processes that share each step.
        validation: regions of other images, on which loss and accuracy are measured as the settings say.
        tensorboard: where event files of the metrics go; None for none.

    Returns:
        The heads by name.

    Raises:
        ConfigError: each step would convolve about as many images as it has regions, or TUNE_FROM names no layer.
        DataError: there is nothing to draw from, or an image cannot be read.
        DetkitError: the loss is no number.
    """
    refuse_costly_steps(objective.extractor, objective.sampler, settings)
    objective.extractor.run_on(compute.device)
    freeze_before(backbone, settings.tune_from)
    if settings.jitter_boxes and not objective.takes_moved_regions:
        raise ConfigError(
            f"FINETUNE.JITTER_BOXES: {settings.jitter_boxes}, but {type(objective).__name__} learns where regions are; "
            "allowed with it: 0"
        )
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
        ConfigError: naming the sampler that fits, and the key that allows it.
    """
    if extractor.per_image and not (sampler.image_centric or settings.allow_whole_images):
        raise ConfigError(
            f"REGION_SAMPLER.NAME: {type(sampler).__name__} draws from the whole data set, so each step would convolve "
            f"about as many images as it has regions with {type(extractor).__name__}; use ImageCentric, "
            "or allow it with FINETUNE.ALLOW_WHOLE_IMAGES true"
        )
