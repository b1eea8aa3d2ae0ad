"""Regions and colours that vary while a network is tuned."""

from __future__ import annotations

import numpy as np
import pytest

from detkit.structures import Boxes
from detkit.training.jitter import Jitter, coloured, moved


def test_edges_move_by_shares_of_their_sides():
    # Sides of 20 and 10: -.1 of 20 is 2 to the left, .2 of 10 is 2 down.
    found = moved(Boxes.of([[10, 10, 30, 20]]), np.array([[-0.1, 0.2, 0.1, 0]]), (100, 100))
    assert found.tensor.tolist() == [[8, 12, 32, 20]]


def test_boxes_stay_in_the_image_and_keep_a_pixel():
    boxes = Boxes.of([[0, 0, 10, 10], [5, 5, 7, 7]])
    found = moved(boxes, np.array([[-0.5, 0, 0.5, 0], [0.4, 0, -0.4, 0]]), (12, 12))
    assert found.tensor.tolist() == [[0, 0, 12, 10], [5, 5, 7, 7]]


def test_factors_of_one_change_no_pixel():
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    assert (coloured(image, np.ones(3)) == image).all()


@pytest.mark.parametrize(
    ("factors", "expected"),
    [
        ([2, 1, 1], [[200, 200, 200], [100, 100, 100]]),
        ([1, 2, 1], [[125, 125, 125], [25, 25, 25]]),  # the mean of 100 and 50 is 75
        ([1, 1, 0], [[100, 100, 100], [50, 50, 50]]),  # grey has no colour to lose
    ],
)
def test_brightness_contrast_and_saturation(factors, expected):
    image = np.array([[[100, 100, 100], [50, 50, 50]]], np.uint8)
    assert coloured(image, np.array(factors, float))[0].tolist() == expected


def test_without_saturation_red_is_its_grey_level():
    # .299 * 200 = 59.8
    assert coloured(np.array([[[200, 0, 0]]], np.uint8), np.array([1, 1, 0.0])).tolist() == [[[60, 60, 60]]]


def test_draws_lie_within_their_limits():
    rng, jitter = np.random.default_rng(0), Jitter(0.1, 0.2)
    assert (np.abs(jitter.moves(100, rng)) <= 0.1).all()
    assert np.abs(jitter.factors(100, rng) - 1).max() == pytest.approx(0.2, abs=0.01)
