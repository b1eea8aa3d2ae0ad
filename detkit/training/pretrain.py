"""Pre-training of a backbone on classified images."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor

from detkit.backbones.base import Backbone
from detkit.config.ranges import NonNegative, Positive
from detkit.data.base import Dataset
from detkit.errors import ConfigError, DataError
from detkit.progress import progress
from detkit.system.compute import Compute
from detkit.system.stream import in_threads
from detkit.system.world import ALONE, World
from detkit.training.classified import CentreBatches, ClassifiedImages, CropBatches
from detkit.training.image_objective import ImageSoftmax, last_layer
from detkit.training.solver import SolverSettings, train


@dataclass(frozen=True, kw_only=True)
class PretrainSettings(SolverSettings):
    """How the network is pre-trained. Defaults are CaffeNet's constants.

    Source: Caffe's reference CaffeNet, solver and network definition.

    Args:
        batch_size: images of a step.
        resize: height and width in pixels to which images are resized, regardless of their aspect ratio, before crops
            are cut; 0 takes 256/227 of the backbone's input size.
    """

    iterations: Annotated[int, Positive] = 450_000
    lr: Annotated[float, Positive] = 0.01
    lr_drop_every: Annotated[int, Positive] = 100_000
    batch_size: Annotated[int, Positive] = 256
    resize: Annotated[int, NonNegative] = 0


def pretrain(
    backbone: Backbone,
    train_set: Dataset,
    val_set: Dataset | None,
    settings: PretrainSettings,
    *,
    compute: Compute,
    workers: int,
    seed: int,
    folder: Path,
    world: World = ALONE,
    tensorboard: Path | None = None,
) -> dict[str, float]:
    """Trains the backbone, in place, to classify images of one object each, on random crops, mirrored or not.

    Args:
        backbone: the network to start from; left in eval mode on the device of ``compute``.
        train_set: images with one annotation each, whose label is the class; its box is not used.
        val_set: such images for the final evaluation by centre crops, or None.
        settings: the config section PRETRAIN.
        compute: device and dtype.
        workers: threads that decode and resize.
        seed: fixes every random number.
        folder: holds the checkpoint and metrics.jsonl; an interrupted run resumes from them.
        world: the processes that share each step.
        tensorboard: folder of event files of the metrics; None writes none.

    Returns:
        ``top1`` and ``top5``, accuracies (0 to 1) on the validation images, and ``num_images``, their number. The
        result is empty without validation images, and in all processes but the first.

    Raises:
        ConfigError: if PRETRAIN.RESIZE is smaller than the crop.
        DataError: as for ``pretrain_images``, or if an image cannot be read.
        DetkitError: if the loss is nan or infinite.
    """
    crop = backbone.input_size
    side = resized_side(settings, crop)
    images, judged = pretrain_images(train_set, val_set)
    batches_of = CropBatches(images, settings.batch_size, side, crop, mirror=settings.mirror, seed=seed)
    dim = backbone.layers[backbone.last_layer].dim
    objective = ImageSoftmax(
        batches=batches_of, num_classes=len(train_set.class_names), feature_dim=dim, settings=settings, seed=seed
    )
    given: dict[str, Any] = {"compute": compute, "workers": workers, "seed": seed, "folder": folder, "world": world}
    train(backbone, objective, settings, name="pretrain", tensorboard=tensorboard, **given)
    if judged is None or not world.is_first:
        return {}
    head = objective.classes.folded()
    val = CentreBatches(judged, settings.batch_size, side, crop)
    ranks = []
    bar = progress("pretrain: accuracy", len(judged.labels), "image")
    batches = closing(in_threads(val, 0, len(val), workers))
    with torch.inference_mode(), compute.autocast(), bar, batches as made:
        for batch in made:
            scores = head(last_layer(backbone, batch.inputs)).float().cpu()
            ranks.append(_ranks(scores, torch.from_numpy(batch.targets["labels"])))
            bar.update(len(batch.image_ids))
    return _accuracy(torch.cat(ranks))


def resized_side(settings: PretrainSettings, crop: int) -> int:
    """The side in pixels to which images are resized before crops of ``crop`` pixels are cut.

    Raises:
        ConfigError: if the crop does not fit into it.
    """
    side = settings.resize or round(crop * 256 / 227)
    if side < crop:
        raise ConfigError(
            f"PRETRAIN.RESIZE: {side} is smaller than the {crop} px crops of this backbone; "
            f"allowed: {crop} or more, or 0 for 256/227 of the crop"
        )
    return side


def pretrain_images(train_set: Dataset, val_set: Dataset | None) -> tuple[ClassifiedImages, ClassifiedImages | None]:
    """The training images and the validation images; None for the latter if there are none.

    Raises:
        DataError: if there is no training image, an image has no or several annotations, the splits differ in their
            classes, or a class of the validation split has no training image.
    """
    images = ClassifiedImages.of(train_set)
    if not len(images.labels):
        raise DataError("pretrain: the training split holds no image")
    if val_set is None or not len(val_set):
        return images, None
    names = train_set.class_names
    if val_set.class_names != names:
        raise DataError("pretrain: the training and the validation split have different classes; they must be the same")
    judged = ClassifiedImages.of(val_set)
    if len(unknown := np.setdiff1d(judged.labels, images.labels)):
        row = int(np.flatnonzero(judged.labels == unknown[0])[0])
        raise DataError(
            f"pretrain: class {names[unknown[0]]} of validation image {judged.paths[row]} has no training image "
            f"({len(unknown)} such of {len(names)} classes); name the folders of both splits alike"
        )
    return images, judged


def _accuracy(ranks: Tensor) -> dict[str, float]:
    shares = {f"top{k}": float((ranks < k).double().mean()) for k in (1, 5)}
    return {**shares, "num_images": len(ranks)}


def _ranks(scores: Tensor, labels: Tensor) -> Tensor:
    """(N,) number of classes before the right one. Ties and nan count, so a broken network gains nothing."""
    own = scores.gather(1, labels[:, None])
    return (~(scores < own)).sum(1) - 1
