"""Fine-tuning batches from few images."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from detkit.config.ranges import Fraction, Positive
from detkit.errors import ConfigError, DataError
from detkit.regions.base import RegionSampler
from detkit.regions.index import RegionIndex
from detkit.registry import REGION_SAMPLERS


@REGION_SAMPLERS.register()
class ImageCentric(RegionSampler):
    """All regions of a step come from a few images, each of which is read and convolved once for many regions.

    Images are drawn uniformly from those that have the kinds of region that a step needs, without repetition while
    there are enough. Every image gives the same number of foreground and of background regions, drawn uniformly with
    replacement.
    Source: Fast R-CNN, section 2.3 (hierarchical sampling).

    Args:
        images_per_batch: images of a step.
        batch_size: regions of a step.
        foreground_fraction: foreground's share of the step, rounded down to whole regions.

    Example:
        >>> import numpy as np
        >>> from detkit.testing.example import example_source
        >>> index = example_source().index
        >>> rows = ImageCentric(images_per_batch=1, batch_size=4).draw(index, np.random.default_rng(0))
        >>> index.label[rows].tolist()  # class 0, and 1 for the background
        [1, 1, 1, 0]
    """

    image_centric = True

    def __init__(
        self,
        *,
        images_per_batch: Annotated[int, Positive] = 2,
        batch_size: Annotated[int, Positive] = 128,
        foreground_fraction: Annotated[float, Fraction] = 0.25,
    ) -> None:
        if images_per_batch > batch_size:
            raise ConfigError(
                f"IMAGES_PER_BATCH {images_per_batch} is more than BATCH_SIZE {batch_size}; "
                "an image gives at least one region"
            )
        self.images_per_batch = images_per_batch
        self.num_foreground = int(batch_size * foreground_fraction)
        self.num_background = batch_size - self.num_foreground

    def draw(self, index: RegionIndex, rng: np.random.Generator, *, iteration: int = 0, seed: int = 0) -> np.ndarray:
        """(batch_size,) rows, background first.

        Raises:
            DataError: if no image has the kinds of region that a step needs.
        """
        # Both lists of rows ascend, so each image's part of them lies between two cuts.
        kinds = [(index.background_rows, self.num_background), (index.foreground_rows, self.num_foreground)]
        cuts = [np.searchsorted(rows, index.offsets) for rows, _ in kinds]
        usable = np.ones(index.num_images, dtype=bool)
        for (_, count), cut in zip(kinds, cuts, strict=True):
            usable &= (np.diff(cut) > 0) | (count == 0)
        candidates = np.flatnonzero(usable)
        if len(candidates) == 0:
            raise DataError(
                f"fine-tuning: a step needs {self.num_foreground} foreground and {self.num_background} background "
                "regions of the same images, but no image has both; check the annotations and proposals"
            )
        images = rng.choice(candidates, self.images_per_batch, replace=len(candidates) < self.images_per_batch)
        drawn = []
        for (rows, count), cut in zip(kinds, cuts, strict=True):
            shares = np.diff(np.linspace(0, count, len(images) + 1).astype(np.int64))
            drawn += [rows[rng.integers(cut[i], cut[i + 1], size=n)] for i, n in zip(images, shares, strict=True) if n]
        return np.concatenate(drawn)
