import numpy as np

from detkit.visualize import jpeg_bytes, outlined_crop
from detkit.visualize.crop import GREY

RED = (255, 0, 0)
WHITE = np.full((100, 200, 3), 255, np.uint8)


def where(picture, color):
    rows, columns = (picture == color).all(-1).nonzero()
    return columns.min(), rows.min(), columns.max(), rows.max()


def test_a_box_in_the_middle_keeps_its_context_on_each_side():
    # 40 pixels and 30 % on each side: 64 pixels on 128, so 12 of context are 24 there, and the box ends at 24 + 80
    picture = outlined_crop(WHITE, [((80, 30, 120, 70), RED)], side=128)
    assert picture.shape == (128, 128, 3)
    assert where(picture, RED) == (24, 24, 104, 104)


def test_a_box_at_the_edge_moves_the_part_into_the_image():
    picture = outlined_crop(WHITE, [((0, 0, 40, 40), RED)], side=128)
    assert not (picture == GREY).all(-1).any()


def test_a_box_longer_than_the_image_is_high_leaves_grey_above_and_below():
    picture = outlined_crop(WHITE, [((0, 0, 200, 100), RED)], side=200)
    assert (picture[:40] == GREY).all() and (picture[-40:] == GREY).all()


def test_all_outlines_are_in_the_part_and_the_last_lies_on_top():
    picture = outlined_crop(WHITE, [((10, 10, 30, 30), (0, 255, 0)), ((10, 10, 30, 30), RED)], side=100)
    assert not (picture == (0, 255, 0)).all(-1).any() and (picture == RED).all(-1).any()


def test_a_box_without_area_beyond_the_image_can_be_drawn():
    assert outlined_crop(WHITE, [((250, 120, 250, 120), RED)], side=50).shape == (50, 50, 3)


def test_a_jpeg_begins_and_ends_as_one():
    data = jpeg_bytes(WHITE)
    assert data[:2] == b"\xff\xd8" and data[-2:] == b"\xff\xd9"
