"""Batches of images that have one class each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from detkit.data.base import Dataset
from detkit.data.images import read_image
from detkit.errors import DataError
from detkit.structures import OTHER_CLASS
from detkit.system.seeding import rng_for
from detkit.system.world import ALONE, World
from detkit.training.objective import Batch


@dataclass(frozen=True, eq=False)
class ClassifiedImages:
    """N images, each with one class.

    Args:
        ids: names of the images.
        paths: files of the images.
        labels: (N,) int64 classes.
    """

    ids: Sequence[str]
    paths: Sequence[Path]
    labels: np.ndarray

    @classmethod
    def of(cls, dataset: Dataset) -> ClassifiedImages:
        """The images of a data set whose samples have one annotation each.

        Raises:
            DataError: if a sample has no annotation or several.
        """
        ids, paths, labels = [], [], []
        for sample in dataset:
            own = [] if sample.annotations is None else sample.annotations.labels.tolist()
            if len(own) != 1 or own == [OTHER_CLASS]:
                raise DataError(
                    f"pretrain: image {sample.image_id} ({sample.path}) has {len(own)} annotations, expected exactly "
                    "one, its class; choose a classification set in PRETRAIN_DATA"
                )
            ids.append(sample.image_id)
            paths.append(sample.path)
            labels += own
        return cls(ids, paths, np.array(labels, np.int64))


@dataclass(frozen=True, eq=False)
class CropBatches:
    """Makes the batch of an iteration. Every epoch is a new permutation of all images; a batch may span two epochs.

    Args:
        images: the images to draw from.
        batch_size: images of a batch.
        side: height and width that images are resized to.
        crop: side of the crop, whose position is random.
        mirror: whether each crop is mirrored with probability one half.
        seed: with the number of the iteration, it fixes the batch.
    """

    images: ClassifiedImages
    batch_size: int
    side: int
    crop: int
    mirror: bool
    seed: int

    def __call__(self, iteration: int, world: World = ALONE) -> Batch:
        """The batch, or a part of it; its inputs are (B, crop, crop, 3) uint8 RGB."""
        every = self.rows(iteration)
        rng = rng_for(self.seed, "pretrain", "crop", iteration)
        corners = rng.integers(0, self.side - self.crop + 1, (len(every), 2))
        flips = rng.random(len(every)) < 0.5 if self.mirror else np.zeros(len(every), bool)
        own = np.array(world.own(range(len(every))), np.int64)
        rows = every[own]
        pixels = np.empty((len(rows), self.crop, self.crop, 3), np.uint8)
        for out, row, (y, x), flip in zip(pixels, rows, corners[own], flips[own]):
            part = _resized(self.images.paths[row], self.side)[y : y + self.crop, x : x + self.crop]
            out[:] = part[:, ::-1] if flip else part
        targets = {"labels": self.images.labels[rows]}
        return Batch(pixels, targets, [self.images.ids[row] for row in rows], total=len(every))

    def rows(self, iteration: int) -> np.ndarray:
        """(B,) the numbers of the images of an iteration."""
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
        return Batch(pixels, {"labels": self.images.labels[rows]}, self.images.ids[rows], total=len(pixels))


def _resized(path: Path, side: int) -> np.ndarray:
    """(side, side, 3): as Caffe's convert_imageset resizes, bilinear and without antialiasing."""
    return cv2.resize(read_image(path), (side, side), interpolation=cv2.INTER_LINEAR)
