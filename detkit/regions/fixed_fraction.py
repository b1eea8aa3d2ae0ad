"""The paper's fine-tuning batches."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from detkit.config.ranges import Fraction, Positive
from detkit.errors import DataError
from detkit.regions.base import RegionSampler
from detkit.regions.index import RegionIndex
from detkit.registry import REGION_SAMPLERS


@REGION_SAMPLERS.register()
class FixedFraction(RegionSampler):
    """A fixed share of foreground and background, each drawn uniformly with replacement from the whole data set.

    Images and classes with more regions are drawn more often.
    Source: R-CNN, section 2.3 (32 + 96); Caffe's window data layer for the draw and the order.

    Args:
        batch_size: regions of a step.
        foreground_fraction: foreground's share of the step, rounded down to whole regions.

    Example:
        >>> import numpy as np
        >>> from detkit.testing.example import example_source
        >>> index = example_source().index
        >>> rows = FixedFraction(batch_size=4).draw(index, np.random.default_rng(0))
        >>> index.label[rows].tolist()  # class 0, and 1 for the background
        [1, 1, 1, 0]
    """

    def __init__(
        self,
        *,
        batch_size: Annotated[int, Positive] = 128,
        foreground_fraction: Annotated[float, Fraction] = 0.25,
    ) -> None:
        self.num_foreground = int(batch_size * foreground_fraction)
        self.num_background = batch_size - self.num_foreground

    def draw(self, index: RegionIndex, rng: np.random.Generator, *, iteration: int = 0, seed: int = 0) -> np.ndarray:
        """(batch_size,) rows, background first.

        Raises:
            DataError: if the step needs foreground or background regions and the split has none.
        """
        return np.concatenate(
            [
                _draw(index.background_rows, self.num_background, "background", rng),
                _draw(index.foreground_rows, self.num_foreground, "foreground", rng),
            ]
        )


def _draw(rows: np.ndarray, count: int, kind: str, rng: np.random.Generator) -> np.ndarray:
    """``count`` of the rows, with replacement."""
    if count and len(rows) == 0:
        raise DataError(
            f"fine-tuning: a step needs {count} {kind} regions, but the split has none; "
            "check its annotations and proposals"
        )
    return rows[rng.integers(len(rows), size=count)] if count else rows[:0]
