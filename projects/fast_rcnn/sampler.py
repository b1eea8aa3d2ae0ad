"""The regions of a training step of Fast R-CNN."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from detkit.config.ranges import Fraction, Positive
from detkit.errors import ConfigError, DataError
from detkit.regions.base import RegionSampler
from detkit.regions.index import RegionIndex
from detkit.registry import REGION_SAMPLERS
from detkit.system.seeding import rng_for


@REGION_SAMPLERS.register()
class Hierarchical(RegionSampler):
    """A step takes a few images, and regions of each without repetition.

    An epoch is a permutation of all images that have a foreground region; the last ones are left out if they are too
    few for a step. An image with too little foreground gives more background. If it has too little background, the step
    is smaller.
    Source: Fast R-CNN, section 2.3 (mini-batch sampling); RoIDataLayer of its code for the ends of epochs.

    Args:
        images_per_batch: images of a step.
        batch_size: regions of a step; the number of each image is rounded down.
        foreground_fraction: largest share of foreground in an image's regions.
        background_from: smallest best IoU with an object of a background region; 0 takes every background region.

    Raises:
        ConfigError: if ``images_per_batch`` is more than ``batch_size``.

    Example:
        >>> import numpy as np
        >>> from detkit.testing.example import example_source
        >>> index = example_source().index
        >>> rows = Hierarchical(images_per_batch=1, batch_size=4).draw(index, np.random.default_rng(0))
        >>> index.label[rows].tolist()  # class 0, and 1 for the background
        [0]
    """

    image_centric = True

    def __init__(
        self,
        *,
        images_per_batch: Annotated[int, Positive] = 2,
        batch_size: Annotated[int, Positive] = 128,
        foreground_fraction: Annotated[float, Fraction] = 0.25,
        background_from: Annotated[float, Fraction] = 0.1,
    ) -> None:
        if images_per_batch > batch_size:
            raise ConfigError(
                f"REGION_SAMPLER.Hierarchical.IMAGES_PER_BATCH: {images_per_batch} is more than BATCH_SIZE "
                f"{batch_size}; an image gives at least one region"
            )
        self.images_per_batch = images_per_batch
        self.per_image = batch_size // images_per_batch
        self.num_foreground = round(self.per_image * foreground_fraction)
        self.background_from = background_from

    def draw(self, index: RegionIndex, rng: np.random.Generator, *, iteration: int = 0, seed: int = 0) -> np.ndarray:
        """(B,) rows, B at most ``batch_size``, image by image.

        Raises:
            DataError: if no image has a foreground region.
        """
        usable = np.unique(index.image[index.foreground_rows])
        if len(usable) == 0:
            raise DataError("fine-tuning: no region is foreground; check the annotations and proposals")
        epoch, step = divmod(iteration, max(len(usable) // self.images_per_batch, 1))
        order = rng_for(seed, "finetune", "epoch", epoch).permutation(usable)
        images = order[step * self.images_per_batch : (step + 1) * self.images_per_batch]
        return np.concatenate([self._of_image(index, image, rng) for image in images.tolist()])

    def _of_image(self, index: RegionIndex, image: int, rng: np.random.Generator) -> np.ndarray:
        rows, label = index.rows(image), index.label[index.rows(image)]
        overlap = index.overlaps(image)[0].numpy().max(1)
        is_background = (label == index.num_classes) & (overlap >= self.background_from)
        foreground = np.flatnonzero((label >= 0) & (label < index.num_classes))
        drawn = rng.permutation(foreground)[: self.num_foreground]
        background = rng.permutation(np.flatnonzero(is_background))[: self.per_image - len(drawn)]
        return rows.start + np.concatenate([drawn, background])
