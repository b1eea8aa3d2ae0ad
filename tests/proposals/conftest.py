"""Pictures that the tests of proposals share."""

import numpy as np
import pytest


@pytest.fixture
def blocks():
    """A 96 x 120 picture: dark, with a 40 x 50 red block whose right half is orange, and a 20 x 20 blue one."""
    image = np.full((96, 120, 3), 30, np.uint8)
    image[20:60, 10:35] = (200, 20, 20)
    image[20:60, 35:60] = (210, 120, 20)
    image[70:90, 80:100] = (20, 40, 220)
    return image


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)
