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
    # Without side, clutter and noise, a square on its ground differs from the ground within its box only.
    monkeypatch.setattr(drawing, "DEPTHS", (0, 0))
    monkeypatch.setattr(drawing, "SHAPES", ("square",))
    for name in ("_blob", "_line"):
        monkeypatch.setattr(
            drawing, name, {"_blob": lambda *_: np.zeros((3, 2)) - 9, "_line": lambda rng, size: np.zeros(size)}[name]
        )
    monkeypatch.setattr(drawing, "_ground", lambda rng, size: np.zeros((*size, 3), np.float32))
    scene = draw_scene(np.random.default_rng(3), (120, 160), 1)
    ((x1, y1, x2, y2),) = scene.boxes
    shape = scene.pixels.astype(int).sum(2) > 100
    rows, columns = np.nonzero(shape)
    assert abs(rows.min() - y1) <= 1 and abs(rows.max() + 1 - y2) <= 1
    assert abs(columns.min() - x1) <= 1 and abs(columns.max() + 1 - x2) <= 1


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
