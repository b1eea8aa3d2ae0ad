import numpy as np
import pytest

from detkit.data import drawing
from detkit.data.drawing import SHAPES, draw_framed, draw_scene


@pytest.fixture(scope="module")
def scenes():
    return [draw_scene(np.random.default_rng(n), (120, 160), 4) for n in range(12)]


def test_the_same_generator_draws_the_same_scene():
    first, second = (draw_scene(np.random.default_rng(5), (90, 120), 3) for _ in range(2))
    np.testing.assert_array_equal(first.pixels, second.pixels)
    assert (first.boxes, first.labels) == (second.boxes, second.labels)


def test_pixels_have_the_size_asked_for(scenes):
    assert scenes[0].pixels.shape == (120, 160, 3) and scenes[0].pixels.dtype == np.uint8


def test_boxes_lie_in_the_scene_and_have_an_area(scenes):
    for x1, y1, x2, y2 in (box for scene in scenes for box in scene.boxes):
        assert 0 <= x1 < x2 <= 160 and 0 <= y1 < y2 <= 120


def test_there_is_a_label_for_each_box_and_every_shape_is_drawn(scenes):
    assert all(len(scene.boxes) == len(scene.labels) for scene in scenes)
    assert {label for scene in scenes for label in scene.labels} == set(range(len(SHAPES)))


def test_a_scene_may_be_empty():
    scene = draw_scene(np.random.default_rng(0), (60, 80), 0)
    assert scene.boxes == [] and scene.labels == []


def test_what_is_around_a_box_is_not_the_shape(monkeypatch):
    # Shadows do not show on black: a square differs from its ground within its box only.
    scene = one_square(monkeypatch, ground=0)
    ((x1, y1, x2, y2),) = scene.boxes
    shape = scene.pixels.astype(int).sum(2) > 100
    rows, columns = np.nonzero(shape)
    assert abs(rows.min() - y1) <= 1 and abs(rows.max() + 1 - y2) <= 1
    assert abs(columns.min() - x1) <= 1 and abs(columns.max() + 1 - x2) <= 1


def test_a_shadow_falls_to_the_lower_right_and_has_no_part_in_the_box(monkeypatch):
    scene = one_square(monkeypatch, ground=240)
    ((x1, y1, x2, y2),) = scene.boxes
    light = scene.pixels.astype(float).mean(2)
    x, y, step = (x1 + x2) // 2, (y1 + y2) // 2, (x2 - x1) // 16
    assert light[y2 + step, x] < 200 and light[y, x2 + step] < 200
    assert light[y1 - step, x] > 230 and light[y, x1 - step] > 230


def test_a_shape_is_darker_along_its_lower_right_inside_its_box(monkeypatch):
    scene = one_square(monkeypatch, ground=0)
    ((x1, y1, x2, y2),) = scene.boxes
    light = scene.pixels.astype(float).mean(2)
    x, y, step = (x1 + x2) // 2, (y1 + y2) // 2, (x2 - x1) // 8
    assert light[y2 - step // 2, x] < 0.85 * light[y, x] and light[y, x2 - step // 2] < 0.85 * light[y, x]


def one_square(monkeypatch, ground):
    """A scene of one upright square on an even ground, without clutter."""
    monkeypatch.setattr(drawing, "SHAPES", ("square",))
    monkeypatch.setattr(drawing, "_blob", lambda *_: np.zeros((3, 2)) - 9)
    monkeypatch.setattr(drawing, "_line", lambda rng, size: np.zeros(size, np.float32))
    monkeypatch.setattr(drawing, "_rotation", lambda angle: np.eye(2))
    monkeypatch.setattr(drawing, "_ground", lambda rng, size: np.full((*size, 3), ground, np.float32))
    scene = draw_scene(np.random.default_rng(3), (120, 160), 1)
    assert scene.boxes[0][2] < 140 and scene.boxes[0][3] < 105  # there is room for its shadow
    return scene


def test_a_crowded_scene_holds_fewer_shapes_than_asked():
    scene = draw_scene(np.random.default_rng(0), (64, 64), 60)
    assert 1 < len(scene.labels) < 60


def test_a_framed_shape_nearly_fills_its_image():
    for n in range(8):
        scene = draw_framed(np.random.default_rng(n), (120, 160))
        ((x1, y1, x2, y2),) = scene.boxes
        height, width = scene.pixels.shape[:2]
        assert 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height
        # A sixth on each side leaves three quarters of each length.
        assert (x2 - x1) / width > 0.74 and (y2 - y1) / height > 0.74
