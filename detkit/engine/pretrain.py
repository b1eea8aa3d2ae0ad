"""Pre-training of a backbone on classified images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch
from torch import Tensor

from detkit.backbones.base import Backbone
from detkit.config.ranges import NonNegative, Positive
from detkit.data.base import Dataset
from detkit.data.images import read_image
from detkit.engine.compute import Compute
from detkit.engine.seeding import rng_for
from detkit.engine.solver import Batch, SolverSettings, Task, train
from detkit.engine.stream import stream
from detkit.errors import ConfigError, DataError


@dataclass(frozen=True, kw_only=True)
class PretrainSettings(SolverSettings):
    """How the network is pre-trained; CaffeNet's constants.

    Source: Caffe's reference CaffeNet, solver and network definition.

    Args:
        batch_size: images of a step.
        resize: side that images are resized to, whatever their aspect ratio, before they are cropped; 0 takes
            256/227 of the backbone's input.
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
) -> dict[str, float]:
    """Trains the backbone, in place, to name the one object of an image: a random crop, mirrored or not.

    Args:
        backbone: where training starts; left in eval mode on the device of ``compute``.
        train_set: images with one annotation each, whose label is the class; its box is not looked at.
        val_set: the same for the final judgement by centre crops, or None.
        settings: the config section PRETRAIN.
        compute: device and dtype.
        workers: processes that decode and resize.
        seed: with it every random number is fixed.
        folder: keeps the checkpoint and metrics.jsonl; a run that was cut off goes on from there.

    Returns:
        ``top1`` and ``top5``, shares of the validation images, and ``num_images``, their number; empty without any.

    Raises:
        ConfigError: PRETRAIN.RESIZE is smaller than the crop.
        DataError: there is no training image, one has not exactly one annotation or cannot be read, or the splits
            differ in their classes.
        DetkitError: the loss is no number.
    """
    crop = backbone.input_size
    side = settings.resize or round(crop * 256 / 227)
    if side < crop:
        raise ConfigError(
            f"PRETRAIN.RESIZE: {side} is smaller than the {crop} px crops of this backbone; use 0 or more"
        )
    if val_set is not None and val_set.class_names != train_set.class_names:
        raise DataError("pretrain: the training and the validation split have different classes; they must be the same")
    images = ClassifiedImages.of(train_set)
    if not len(images.labels):
        raise DataError("pretrain: the training split holds no image")
    task = Task(
        name="pretrain",
        num_outputs=len(train_set.class_names),
        make_batch=CropBatches(images, settings.batch_size, side, crop, mirror=settings.mirror, seed=seed),
        features=lambda pixels: _last_layer(backbone, pixels, compute),
        accuracies=lambda scores, labels: {"accuracy": float((scores.argmax(1) == labels).float().mean())},
    )
    head = train(backbone, task, settings, compute=compute, workers=workers, seed=seed, folder=folder)
    if val_set is None or not len(val_set):
        return {}
    val = CentreBatches(ClassifiedImages.of(val_set), settings.batch_size, side, crop)
    ranks = []
    with torch.inference_mode(), compute.autocast():
        for batch in stream(val, 0, len(val), workers):
            scores = head(_last_layer(backbone, batch.inputs, compute)).float().cpu()
            ranks.append(_ranks(scores, torch.from_numpy(batch.labels)))
    rank = torch.cat(ranks)
    return {
        "top1": float((rank < 1).double().mean()),
        "top5": float((rank < 5).double().mean()),
        "num_images": len(rank),
    }


@dataclass(frozen=True, eq=False)
class ClassifiedImages:
    """N images, each with one class.

    Args:
        ids: their names.
        paths: their files.
        labels: (N,) int64.
    """

    ids: Sequence[str]
    paths: Sequence[Path]
    labels: np.ndarray

    @classmethod
    def of(cls, dataset: Dataset) -> ClassifiedImages:
        """The images of a data set whose samples have one annotation each.

        Raises:
            DataError: a sample has none or several.
        """
        ids, paths, labels = [], [], []
        for sample in dataset:
            count = 0 if sample.annotations is None else len(sample.annotations)
            if sample.annotations is None or count != 1:
                raise DataError(
                    f"pretrain: image {sample.image_id} ({sample.path}) has {count} annotations, expected exactly one, "
                    "its class; choose a classification set in PRETRAIN_DATA"
                )
            ids.append(sample.image_id)
            paths.append(sample.path)
            labels.append(int(sample.annotations.labels[0]))
        return cls(ids, paths, np.array(labels, np.int64))


@dataclass(frozen=True, eq=False)
class CropBatches:
    """Makes the batch of an iteration: every epoch is a new permutation of all images, batches run across its ends.

    Args:
        images: what is drawn from.
        batch_size: images of a batch.
        side: height and width that images are resized to.
        crop: side of the crop, whose place is drawn.
        mirror: whether each crop is mirrored with probability one half.
        seed: with the iteration's number, all that a batch depends on.
    """

    images: ClassifiedImages
    batch_size: int
    side: int
    crop: int
    mirror: bool
    seed: int

    def __call__(self, iteration: int) -> Batch:
        """The batch; its inputs are (B, crop, crop, 3) uint8 RGB."""
        rows = self.rows(iteration)
        rng = rng_for(self.seed, "pretrain", "crop", iteration)
        corners = rng.integers(0, self.side - self.crop + 1, (len(rows), 2))
        flips = rng.random(len(rows)) < 0.5 if self.mirror else np.zeros(len(rows), bool)
        pixels = np.empty((len(rows), self.crop, self.crop, 3), np.uint8)
        for out, row, (y, x), flip in zip(pixels, rows, corners, flips):
            part = _resized(self.images.paths[row], self.side)[y : y + self.crop, x : x + self.crop]
            out[:] = part[:, ::-1] if flip else part
        return Batch(pixels, self.images.labels[rows], [self.images.ids[row] for row in rows])

    def rows(self, iteration: int) -> np.ndarray:
        """(B,) the images of an iteration."""
        count = len(self.images.labels)
        places = np.arange(iteration * self.batch_size, (iteration + 1) * self.batch_size)
        epochs = range(int(places[0]) // count, int(places[-1]) // count + 1)
        order = np.concatenate([rng_for(self.seed, "pretrain", "epoch", e).permutation(count) for e in epochs])
        return order[places - epochs[0] * count]


@dataclass(frozen=True, eq=False)
class CentreBatches:
    """Makes batches of centre crops of all images, in order; the last one may be shorter."""

    images: ClassifiedImages
    batch_size: int
    side: int
    crop: int

    def __len__(self) -> int:
        return -(-len(self.images.labels) // self.batch_size)

    def __call__(self, i: int) -> Batch:
        """The i-th batch; its inputs are (B, crop, crop, 3) uint8 RGB."""
        rows = slice(i * self.batch_size, (i + 1) * self.batch_size)
        centre = slice((self.side - self.crop) // 2, (self.side - self.crop) // 2 + self.crop)
        pixels = np.stack([_resized(path, self.side)[centre, centre] for path in self.images.paths[rows]])
        return Batch(pixels, self.images.labels[rows], self.images.ids[rows])


def _resized(path: Path, side: int) -> np.ndarray:
    """(side, side, 3): as Caffe's convert_imageset resizes, bilinear and without antialiasing."""
    return cv2.resize(read_image(path), (side, side), interpolation=cv2.INTER_LINEAR)


def _last_layer(backbone: Backbone, pixels: np.ndarray, compute: Compute) -> Tensor:
    crops = backbone.preprocessing(torch.from_numpy(pixels).to(compute.device))
    return backbone(crops, [backbone.last_layer])[backbone.last_layer]


def _ranks(scores: Tensor, labels: Tensor) -> Tensor:
    """(N,) how many classes stand before the right one; ties and nan count against it, so a dead net gains nothing."""
    own = scores.gather(1, labels[:, None])
    return (~(scores < own)).sum(1) - 1
