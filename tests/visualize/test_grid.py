import numpy as np
import pytest

from detkit.structures import Annotations, Boxes, Detections
from detkit.visualize import picture_grid
from detkit.visualize.draw import TRUTH_COLOR
from detkit.visualize.grid import GAP
from detkit.visualize.labels import class_color


def nothing():
    return Detections.of(Boxes.of([]), [], [])


def grey(height, width):
    return np.full((height, width, 3), 90, np.uint8)


def grid(images, detections=None, **options):
    return picture_grid(images, detections or [nothing()] * len(images), ("cat",), **options)


@pytest.mark.parametrize(
    ("count", "rows", "columns"),
    [(1, 1, 1), (3, 1, 3), (4, 2, 3)],
)
def test_pictures_fill_rows_and_no_column_is_left_empty(count, rows, columns):
    sheet = grid([grey(100, 100)] * count, columns=3, cell=50)
    assert sheet.shape == (rows * (50 + GAP) + GAP, columns * (50 + GAP) + GAP, 3)
    assert int((sheet == 90).all(-1).sum()) == count * 50 * 50


def test_no_pictures_give_a_white_cell():
    sheet = grid([], cell=50)
    assert sheet.shape == (50 + 2 * GAP, 50 + 2 * GAP, 3) and (sheet == 255).all()


def test_pictures_keep_their_shape_and_stand_in_the_middle():
    # 200x100 becomes 50x25, 12 columns from the left of its cell; 40x80 becomes 25x50.
    sheet = grid([grey(200, 100), grey(40, 80)], cell=50)
    inked = (sheet == 90).all(-1)
    rows, columns = inked[:, GAP : GAP + 50].nonzero()
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1, columns.min()) == (50, 25, 12)
    rows, columns = inked[:, 2 * GAP + 50 :].nonzero()
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (25, 50)


def test_boxes_shrink_with_their_picture():
    # Half size: the box 40..80 becomes 20..40; the pixels are those of the sheet below the label.
    found = Detections.of(Boxes.of([[40, 100, 80, 180]]), [0.9], [0])
    truth = Annotations.of(Boxes.of([[120, 100, 180, 180]]), [0])
    sheet = grid([grey(200, 200)], [found], truths=[truth], cell=100)
    line = sheet[GAP + 70, GAP : GAP + 100]
    detected, true = ((line == color).all(-1).nonzero()[0] for color in (class_color(0), TRUTH_COLOR))
    assert (detected.min(), detected.max(), true.min(), true.max()) == (20, 39, 60, 89)


def test_scores_below_zero_are_left_out_by_default():
    found = Detections.of(Boxes.of([[10, 10, 90, 90]]), [-0.1], [0])
    assert int((grid([grey(100, 100)], [found], cell=100) == 90).all(-1).sum()) == 100 * 100


def test_lists_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match=r"shorter|longer"):
        grid([grey(10, 10)], [nothing()] * 2)
