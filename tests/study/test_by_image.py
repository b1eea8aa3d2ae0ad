from __future__ import annotations

import numpy as np
import pytest

from detkit.study.by_image import ByImage


def test_a_mean_over_regions_weighs_images_by_their_regions():
    mean = ByImage.of(np.array([1.0, 3.0, 8.0]), np.array([0, 0, 2]), 3)
    assert mean.value == 4.0  # (1 + 3 + 8) / 3
    assert mean.sums.tolist() == [4, 0, 8] and mean.counts.tolist() == [2, 0, 1]


def test_the_interval_is_that_of_images_drawn_anew():
    # two images with means 0 and 1: a draw of two has the mean 0, 1/2 or 1 with chances 1/4, 1/2, 1/4
    interval = ByImage(np.array([0.0, 1.0]), np.array([1.0, 1.0])).interval()
    assert (interval.value, interval.low, interval.high) == (0.5, 0.0, 1.0)
    # both on the same draws: a constant distance stays constant
    first, second = (ByImage(np.array([0.0, 1.0]) + more, np.ones(2)) for more in (3.0, 1.0))
    above = first.above(second)
    assert (above.value, above.low, above.high) == pytest.approx((2.0, 2.0, 2.0))
