from __future__ import annotations

from detkit.evaluation.bootstrap import Interval
from detkit.study.curve import curve
from detkit.study.text import Text


def test_a_curve_goes_from_left_to_right_whatever_the_order_of_its_settings():
    here = [(0.3, Interval(50, 40, 60)), (0.0, Interval(45, 44, 46)), (0.5, Interval(48, 49, 50))]
    (axes,) = curve(Text("IoU"), here, [(0.5, 49.0), (0.3, 54.0)]).axes
    *own, published = (list(line.get_xdata()) for line in axes.lines)  # the values and the ends of their bars
    assert own == [[0.0, 0.3, 0.5]] * 3
    assert published == [0.3, 0.5]
