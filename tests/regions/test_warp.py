from __future__ import annotations

from fractions import Fraction

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
    """Halves away from zero, on an exact number."""
    value = Fraction(value)
    return int(abs(value) + Fraction(1, 2)) * (1 if value >= 0 else -1)


def second_formulation(box, image_size, size, padding, mode):
    """The same warp in 1-based inclusive coordinates, one box at a time; sizes in exact fractions."""
    x1, y1, x2, y2 = (float(v) for v in box)
    x1, y1 = x1 + 1, y1 + 1
    scale = size / (size - 2 * padding)
    half_width, half_height = (x2 - x1 + 1) / 2, (y2 - y1 + 1) / 2
    centre = (x1 + half_width, y1 + half_height)
    if mode == "square":
        half_width = half_height = max(half_width, half_height)
    rows = []
    for c, half, limit in zip(centre, (half_width, half_height), image_size[::-1]):
        first, last = matlab_round(c - half * scale), matlab_round(c + half * scale)
        full = last - first + 1
        before, after = max(0, 1 - first), max(0, last - limit)
        first, last = max(1, first), min(limit, last)
        length = matlab_round(Fraction((last - first + 1) * size, full))
        pads = [matlab_round(Fraction(p * size, full)) for p in (before, after)]
        rows.append((first - 1, last, [(p, min(p + length, size)) for p in pads]))
    (cx1, cx2, px), (cy1, cy2, py) = rows
    clip = (cx1, cy1, cx2, cy2)
    return clip, (px[0][0], py[0][0], px[0][1], py[0][1]), (px[1][0], py[0][0], px[1][1], py[0][1])


def compare_with_second_formulation(mode, padding, count):
    """On ``count`` boxes, by turns whole, of quarter pixels and of any float32 numbers."""
    image_size, boxes, rng = (375, 500), np.zeros((0, 4)), np.random.default_rng(0)
    while len(boxes) < count:
        corners = rng.uniform(0, 1, (count, 3, 2, 2)) * image_size[::-1]
        drawn = np.concatenate([corners.min(2), corners.max(2)], axis=2)
        drawn[:, 0] = np.floor(drawn[:, 0]) + np.array([0, 0, 1, 1])
        drawn[:, 1] = np.round(drawn[:, 1] * 4) / 4
        drawn = drawn.astype(np.float32).astype(np.float64).reshape(-1, 4)
        drawn = drawn[(drawn[:, 2:] > drawn[:, :2]).all(1)]
        if padding == 0:
            # Windows end on halves here, and a half below zero is rounded down from 0 and up from 1.
            half = (drawn[:, 2:] - drawn[:, :2]).max(1, keepdims=True) / 2
            drawn = drawn[((drawn[:, :2] + drawn[:, 2:]) / 2 > half).all(1)]
        boxes = np.vstack([boxes, drawn])
    boxes = boxes[:count]
    found = warp_windows(boxes, image_size, 227, padding, mode)
    for i, box in enumerate(boxes):
        expected = second_formulation(box, image_size, 227, padding, mode)
        assert (tuple(found.clip[i]), tuple(found.place[i]), tuple(found.mirrored_place[i])) == expected


WAYS = [("warp", 16), ("square", 16), ("square", 0), ("warp", 5)]


@pytest.mark.parametrize("mode, padding", WAYS)
def test_second_formulation_agrees_on_random_boxes(mode, padding):
    compare_with_second_formulation(mode, padding, 5000)


@pytest.mark.soak
@pytest.mark.parametrize("mode, padding", WAYS)
def test_second_formulation_agrees_on_twenty_thousand_boxes_of_each_way(mode, padding):
    compare_with_second_formulation(mode, padding, 21_000)


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
