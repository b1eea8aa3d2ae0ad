from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from detkit.regions.warp import warp_crops, warp_windows

# Source: the fact table of the released code for an image of 500 x 375; boxes and clips inclusive, 0-based.
# mode, padding, box, clip, (width, height) of the window, size of the resized clip, its place, mirrored left edge
VECTORS = [
    ("warp", 16, (100, 80, 299, 199), (84, 70, 316, 210), (233, 141), (227, 227), (0, 0), 0),
    ("warp", 16, (0, 0, 99, 49), (0, 0, 108, 54), (117, 59), (211, 212), (16, 15), 0),
    ("warp", 16, (400, 300, 499, 374), (392, 294, 499, 374), (117, 88), (210, 209), (0, 0), 17),
    ("warp", 16, (0, 0, 499, 374), (0, 0, 499, 374), (583, 438), (195, 194), (16, 16), 16),
    ("warp", 16, (10, 10, 10, 10), (10, 10, 11, 11), (2, 2), (227, 227), (0, 0), 0),
    ("warp", 16, (3, 200, 22, 374), (1, 186, 25, 374), (25, 204), (227, 210), (0, 0), 0),
    ("square", 16, (100, 80, 299, 199), (84, 24, 316, 256), (233, 233), (227, 227), (0, 0), 0),
    ("square", 16, (0, 0, 499, 374), (0, 0, 499, 374), (583, 584), (195, 146), (16, 40), 16),
    ("square", 0, (100, 80, 299, 199), (100, 40, 300, 240), (201, 201), (227, 227), (0, 0), 0),
]


@pytest.mark.parametrize("mode, padding, box, clip, window, size, place, mirrored", VECTORS)
def test_published_vectors_are_met(mode, padding, box, clip, window, size, place, mirrored):
    exclusive = np.add(box, (0, 0, 1, 1))[None]
    found = warp_windows(exclusive, (375, 500), 227, padding, mode)
    assert (found.clip[0] - (0, 0, 1, 1)).tolist() == list(clip)
    assert (found.window[0, 2:] - found.window[0, :2]).tolist() == list(window)
    assert found.place[0].tolist() == [*place, place[0] + size[0], place[1] + size[1]]
    assert found.mirrored_place[0, 0] == mirrored


def matlab_round(value):
    """Halves away from zero."""
    whole = math.floor(abs(value))
    return int(math.copysign(whole + (abs(value) - whole >= 0.5), value))


def matlab_warp(box, image_size, size, padding, mode):
    """The released code's warp of one box: Python's floats are doubles, pixels count from 1 and the last is inside."""
    x1, y1, x2, y2 = (float(v) for v in box)
    bbox = [x1 + 1, y1 + 1, x2, y2]
    scale = size / (size - padding * 2)
    half_height, half_width = (bbox[3] - bbox[1] + 1) / 2, (bbox[2] - bbox[0] + 1) / 2
    centre = (bbox[0] + half_width, bbox[1] + half_height)
    if mode == "square":
        half_width = half_height = max(half_width, half_height)
    clip, places, mirrored_places = [], [], []
    for c, half, limit in zip(centre, (half_width, half_height), image_size[::-1]):
        first, last = matlab_round(c + -half * scale), matlab_round(c + half * scale)
        side, before, after = last - first + 1, max(0, 1 - first), max(0, last - limit)
        first, last = max(1, first), min(limit, last)
        axis_scale = size / side
        length = matlab_round((last - first + 1) * axis_scale)
        clip.append((first - 1, last))
        for into, pad in ((places, before), (mirrored_places, after)):
            start = matlab_round(pad * axis_scale)
            into.append((start, min(start + length, size)))
    mirrored_places[1] = places[1]
    return [[low for low, _ in pairs] + [high for _, high in pairs] for pairs in (clip, places, mirrored_places)]


def random_boxes(count, image_size):
    """By turns whole, of quarter pixels and of any float32 numbers."""
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 1, (count, 2, 2)) * image_size[::-1]
    drawn = np.concatenate([corners.min(1), corners.max(1)], axis=1)
    drawn[0::3] = np.floor(drawn[0::3]) + np.array([0, 0, 1, 1])
    drawn[1::3] = np.round(drawn[1::3] * 4) / 4
    drawn = drawn.astype(np.float32).astype(np.float64)
    return drawn[(drawn[:, 2:] > drawn[:, :2]).all(1)]


def compare_with_the_released_code(size, mode, padding, count):
    image_size = (375, 500)
    boxes = random_boxes(count, image_size)
    assert len(boxes) > 0.98 * count
    found = warp_windows(boxes, image_size, size, padding, mode)
    expected = np.array([matlab_warp(box, image_size, size, padding, mode) for box in boxes])
    for part, name in enumerate(("clip", "place", "mirrored_place")):
        assert np.flatnonzero((getattr(found, name) != expected[:, part]).any(1)).tolist() == [], name


WAYS = [(size, mode, padding) for size in (224, 227) for mode, padding in (("warp", 16), ("square", 16), ("square", 0))]
WAYS += [(128, "warp", 9), (227, "warp", 5)]


@pytest.mark.parametrize("size, mode, padding", WAYS)
def test_windows_are_those_of_the_released_doubles(size, mode, padding):
    compare_with_the_released_code(size, mode, padding, 12_000)


@pytest.mark.soak
@pytest.mark.parametrize("size, mode, padding", WAYS)
def test_windows_are_those_of_the_released_doubles_for_many_boxes(size, mode, padding):
    compare_with_the_released_code(size, mode, padding, 120_000)


def test_a_window_that_begins_half_a_pixel_before_the_image_begins_with_its_first_pixel():
    # Counted from 1, the box covers columns 1..4 and rows 1..3: centre (3, 2.5), half a side 2. The square goes from
    # (1, 0.5) to (5, 4.5), rounded (1, 1) to (5, 5). Counted from 0 it would begin at -0.5, rounded -1.
    found = warp_windows(np.array([[0, 0, 4, 3]]), (50, 50), 64, 0, "square")
    assert found.window.tolist() == [[0, 0, 5, 5]]


def test_a_margin_of_a_half_in_exact_numbers_falls_below_it_in_the_released_doubles():
    # The square around the 229 x 274 box has half a side of 137 * 224 / 192 = 159.83, so, counted from 1, it goes from
    # column 115.5 - 159.83 = -44.33 to 275.33: 320 columns, of which 45 lie before the image. 45 * 224 / 320 is 31.5,
    # but 224 / 320 in doubles is a little less than 0.7.
    found = warp_windows(np.array([[0, 50, 229, 324]]), (375, 500), 224, 16, "square")
    assert (found.window[0, [0, 2]].tolist(), found.place[0, 0]) == ([-45, 275], 31)


def test_whole_box_is_the_window_without_padding():
    found = warp_windows(np.array([[10, 20, 30, 60], [10.4, 20.5, 10.6, 20.6]]), (100, 100), 64, 0)
    assert found.clip.tolist() == [[10, 20, 30, 60], [10, 21, 11, 22]]
    assert (found.place == [0, 0, 64, 64]).all()


def test_without_context_only_the_regions_own_pixels_are_used():
    # 227 wide window of a 195 px box: 16 px of mean at the left, and 17 at the right of the 228 px that rounding gives
    with_padding = warp_windows(np.array([[100, 100, 295, 295]]), (500, 500), context=False)
    assert with_padding.clip.tolist() == [[100, 100, 295, 295]]
    assert with_padding.place.tolist() == [[16, 16, 210, 210]]
    # a 40 x 20 box in its square of 41: 20 rows of 41, 10 above them; 10 * 64 / 41 = 15.6, 20 * 64 / 41 = 31.2
    square = warp_windows(np.array([[30, 40, 70, 60]]), (100, 100), 64, 0, "square", context=False)
    assert square.clip.tolist() == [[30, 40, 70, 60]]
    assert square.place.tolist() == [[0, 16, 62, 47]]


def test_region_beside_the_image_gives_an_empty_crop():
    windows = warp_windows(np.array([[-90, 0, -60, 20], [200, 0, 230, 20], [0, 300, 9, 320]]), (50, 60), 32, 4)
    crops, valid = warp_crops(np.full((50, 60, 3), 9, np.uint8), windows, np.zeros(3, bool), 32)
    assert not crops.any()
    assert ((valid[:, 2] <= valid[:, 0]) | (valid[:, 3] <= valid[:, 1])).all()


def test_no_boxes_give_no_crops():
    crops, valid = warp_crops(np.zeros((5, 5, 3), np.uint8), warp_windows(np.zeros((0, 4)), (5, 5)), np.zeros(0, bool))
    assert crops.shape == (0, 227, 227, 3)
    assert valid.shape == (0, 4)


@pytest.fixture
def photograph():
    noise = np.random.default_rng(3).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    return cv2.resize(noise, (500, 375), interpolation=cv2.INTER_CUBIC)


def test_pixels_equal_torchs_bilinear_resize(photograph):
    # larger than the crop, smaller, flat, at two borders, of one pixel
    boxes = [
        [120, 90, 260, 300],
        [10, 0, 500, 370],
        [30, 40, 60, 45],
        [0, 0, 80, 375],
        [400, 300, 500, 375],
        [9, 9, 10, 10],
    ]
    windows = warp_windows(np.array(boxes, float), photograph.shape[:2])
    no_flips = np.zeros(len(boxes), bool)
    exact, _ = warp_crops(photograph, windows, no_flips, pixels="float32")
    rounded, _ = warp_crops(photograph, windows, no_flips)
    assert (exact.dtype, rounded.dtype) == (np.float32, np.uint8)
    for (x1, y1, x2, y2), (left, top, right, bottom), fine, coarse in zip(windows.clip, windows.place, exact, rounded):
        clip = torch.from_numpy(photograph[y1:y2, x1:x2]).permute(2, 0, 1)[None].float()
        resized = F.interpolate(clip, (bottom - top, right - left), mode="bilinear", align_corners=False)
        expected = np.zeros((227, 227, 3))
        expected[top:bottom, left:right] = resized[0].permute(1, 2, 0).numpy()
        assert np.abs(fine - expected).max() < 5e-3
        assert np.abs(coarse - expected).max() <= 1


def test_mirrored_crop_inside_the_image_is_the_crop_reversed(photograph):
    windows = warp_windows(np.array([[120.0, 90.0, 260.0, 300.0]] * 2), photograph.shape[:2])
    (plain, mirrored), _ = warp_crops(photograph, windows, np.array([False, True]))
    assert (mirrored == plain[:, ::-1]).all()


def test_mirrored_crop_at_the_border_leaves_room_on_the_other_side(photograph):
    windows = warp_windows(np.array([[400.0, 300.0, 500.0, 375.0]]), photograph.shape[:2])
    (crop,), (valid,) = warp_crops(photograph, windows, np.array([True]))
    assert valid.tolist() == [17, 0, 227, 209]
    x1, y1, x2, y2 = windows.clip[0]
    assert (crop[:209, 17:] == cv2.resize(photograph[y1:y2, x1:x2], (210, 209))[:, ::-1]).all()
    assert not crop[:, :17].any() and not crop[209:].any()


def test_linear_ramp_stays_linear():
    image = np.repeat(np.arange(200, dtype=np.uint8)[None, :, None], 100, 0).repeat(3, 2)
    windows = warp_windows(np.array([[50.0, 20.0, 150.0, 80.0]]), (100, 200), 227)
    crops, _ = warp_crops(image, windows, np.array([False]), pixels="float32")
    x1, _, x2, _ = windows.clip[0]
    step = (x2 - x1) / 227
    expected = x1 + (np.arange(227) + 0.5) * step - 0.5
    assert np.abs(crops[0, 100, 5:-5, 0] - expected[5:-5]).max() < 1e-3
