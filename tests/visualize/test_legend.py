import numpy as np

from detkit.visualize.draw import TRUTH_COLOR
from detkit.visualize.labels import class_color
from detkit.visualize.legend import HEIGHT, with_legend

PICTURE = np.full((40, 400, 3), 90, np.uint8)


def holds(part, color):
    return bool((part == color).all(-1).any())


def test_every_colour_stands_above_the_picture():
    sheet = with_legend(PICTURE, ("cat", "dog"))
    above = sheet[: len(sheet) - 40]
    assert (sheet[-40:] == PICTURE).all() and len(above) == HEIGHT
    assert all(holds(above, color) for color in (TRUTH_COLOR, class_color(0), class_color(1)))


def test_many_classes_take_more_lines_and_at_most_four():
    assert len(with_legend(PICTURE, [f"class {k}" for k in range(3)])) == 40 + 2 * HEIGHT
    assert len(with_legend(PICTURE, [f"class {k}" for k in range(80)])) == 40 + 4 * HEIGHT


def test_a_narrow_picture_has_an_entry_a_line():
    assert with_legend(PICTURE[:, :30], ("cat",)).shape == (40 + 2 * HEIGHT, 30, 3)
