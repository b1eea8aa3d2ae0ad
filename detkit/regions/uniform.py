"""Fine-tuning batches in the natural proportion of foreground and background."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from detkit.config.ranges import Positive
from detkit.errors import DataError
from detkit.regions.base import RegionSampler
from detkit.regions.index import RegionIndex
from detkit.registry import REGION_SAMPLERS


@REGION_SAMPLERS.register()
class Uniform(RegionSampler):
    """Regions drawn uniformly with replacement from the whole data set; foreground is as rare as in the data.

    Use it to compare with R-CNN, which draws a quarter of foreground (section 2.3).

    Args:
        batch_size: regions of a step.

    Example:
        >>> import numpy as np
        >>> from detkit.testing.example import example_source
        >>> index = example_source().index
        >>> rows = Uniform(batch_size=4).draw(index, np.random.default_rng(0))
        >>> index.label[rows].tolist()  # class 0, and 1 for the background
        [0, 0, 0, 0]
    """

    def __init__(self, *, batch_size: Annotated[int, Positive] = 128) -> None:
        self.batch_size = batch_size

    def draw(self, index: RegionIndex, rng: np.random.Generator, *, iteration: int = 0, seed: int = 0) -> np.ndarray:
        """(batch_size,) rows, in the order in which they are drawn.

        Raises:
            DataError: if no region of the split has a fine-tuning label.
        """
        background, foreground = index.background_rows, index.foreground_rows
        if len(background) + len(foreground) == 0:
            raise DataError(
                "fine-tuning: the split has no foreground and no background region; check its annotations and proposals"
            )
        places = rng.integers(len(background) + len(foreground), size=self.batch_size)
        is_background = places < len(background)
        rows = np.empty(self.batch_size, np.int64)
        rows[is_background] = background[places[is_background]]
        rows[~is_background] = foreground[places[~is_background] - len(background)]
        return rows
