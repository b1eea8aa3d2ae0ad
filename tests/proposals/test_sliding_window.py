import numpy as np
import pytest

from detkit.errors import ConfigError
from detkit.proposals.sliding_window import SlidingWindow, window_starts
from detkit.structures import Boxes


def windows(height, width, **options):
    found = SlidingWindow(**options).propose(np.zeros((height, width, 3), np.uint8))
    assert found.image_size == (height, width) and (found.objectness == 0).all()
    return found.boxes.tensor.tolist()


def test_starts_reach_both_ends_at_most_a_step_apart():
    assert window_starts(10, 4, 2).tolist() == [0, 2, 4, 6]
    assert window_starts(10, 4, 4).tolist() == [0, 3, 6]
    assert window_starts(10, 4, 100).tolist() == [0, 6]


def test_a_window_as_long_as_the_image_starts_once():
    assert window_starts(10, 10, 2).tolist() == [0]


def test_reach_is_the_best_iou_with_a_window_and_0_where_none_fits():
    # windows of 4 x 4 at 0, 2, 4: the first box is one of them, the second shares 2 x 2 of 16 with one
    square = SlidingWindow(scales=(0.5,), ratios=(1.0,), stride=0.5)
    assert square.reach(Boxes.of([[2, 0, 6, 4], [0, 0, 2, 2]]), (8, 8)).tolist() == [1, 0.25]
    assert SlidingWindow(scales=(1.0,), ratios=(0.5,)).reach(Boxes.of([[0, 0, 8, 8]]), (8, 8)).tolist() == [0]


def test_half_scale_squares_at_half_stride_are_listed_row_by_row():
    # shorter side 8, so 4 x 4 windows, step 2: x 0..8 in 5 places, y 0..4 in 3
    found = windows(8, 12, scales=(0.5,), ratios=(1.0,), stride=0.5)
    assert found == [[x, y, x + 4, y + 4] for y in (0, 2, 4) for x in (0, 2, 4, 6, 8)]


def test_ratio_is_height_over_width_at_the_same_area():
    # side 4, area 16, height / width = 4: 8 high and 2 wide, step 2 across and no room down
    assert windows(8, 8, scales=(0.5,), ratios=(4.0,), stride=1.0) == [[x, 0, x + 2, 8] for x in (0, 2, 4, 6)]


def test_scales_come_before_ratios():
    found = windows(8, 8, scales=(1.0, 0.5), ratios=(1.0, 4.0), stride=1.0)
    sizes = [(x2 - x1, y2 - y1) for x1, y1, x2, y2 in found]
    assert list(dict.fromkeys(sizes)) == [(8, 8), (4, 4), (2, 8)]  # 16 high at scale 1 does not fit


def test_windows_that_fit_nowhere_leave_no_proposal():
    assert windows(8, 8, scales=(1.5,), ratios=(1.0,)) == []


def test_steps_are_never_under_a_pixel():
    assert len(windows(4, 4, scales=(0.5,), ratios=(1.0,), stride=0.001)) == 9  # 3 x 3 places


def test_one_pixel_has_one_window():
    assert windows(1, 1, scales=(1.0,), ratios=(1.0,)) == [[0, 0, 1, 1]]


@pytest.mark.parametrize("key", ["scales", "ratios"])
def test_an_empty_list_is_refused_by_key(key):
    with pytest.raises(ConfigError, match=rf"SlidingWindow\.{key.upper()}: \[\] is not allowed"):
        SlidingWindow(**{key: ()})
