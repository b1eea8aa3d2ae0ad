"""Means over regions, with bootstrap intervals over the test images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detkit.evaluation.bootstrap import Interval, image_draws, percentile_interval


@dataclass(frozen=True, eq=False)
class ByImage:
    """A sum and a count for each image. Their quotient over all images is a mean over regions, or a ratio.

    Args:
        sums: (I,) numbers.
        counts: (I,) numbers, at least one above 0.
    """

    sums: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, image: np.ndarray, num_images: int) -> ByImage:
        """The sums and counts of (N,) values by the (N,) numbers of their images."""
        sums = np.bincount(image, weights=values, minlength=num_images)
        return cls(sums, np.bincount(image, minlength=num_images).astype(float))

    def mean(self, draws: np.ndarray) -> np.ndarray:
        """(B,) the quotient in each of (B, I) draws of the images; nan if the counts of a draw sum to 0."""
        with np.errstate(invalid="ignore", divide="ignore"):
            found: np.ndarray = (draws @ self.sums) / (draws @ self.counts)
        return found

    @property
    def value(self) -> float:
        """The quotient over all images."""
        return float(self.mean(np.ones((1, len(self.sums))))[0])

    def interval(self) -> Interval:
        """The quotient with its 95 % interval."""
        return percentile_interval(self.value, self.mean(image_draws(len(self.sums))))

    def above(self, other: ByImage) -> Interval:
        """The difference to another quotient of the same images, on the same draws."""
        draws = image_draws(len(self.sums))
        return percentile_interval(self.value - other.value, self.mean(draws) - other.mean(draws))
