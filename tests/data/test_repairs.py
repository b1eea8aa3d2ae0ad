import pytest

from detkit.data.repairs import cut_to_image, size_differs
from detkit.errors import DataError


def test_boxes_inside_stay_as_they_are():
    boxes, lines = cut_to_image([(0, 0, 60, 40), (1.5, 2, 3, 4)], ["a", "b"], (40, 60))
    assert boxes.tensor.tolist() == [[0, 0, 60, 40], [1.5, 2, 3, 4]] and lines == []


def test_no_box_gives_no_box():
    boxes, lines = cut_to_image([], [], (40, 60))
    assert len(boxes) == 0 and lines == []


def test_each_side_is_cut_and_the_furthest_is_told():
    boxes, lines = cut_to_image([(-1, -2.5, 61, 41)], ["a"], (40, 60))
    assert boxes.tensor.tolist() == [[0, 0, 60, 40]]
    assert lines == ["a leaves the image of 60x40 pixels by 2.5; its box was cut"]


@pytest.mark.parametrize("row", [(60, 0, 70, 5), (5, 5, 5, 9), (9, 5, 4, 9), (1e300, 0, 2e300, 5)])
def test_a_box_without_area_is_refused(row):
    with pytest.raises(DataError, match=r"^second has no area in the image of 60x40 pixels: box \["):
        cut_to_image([(0, 0, 5, 5), row], ["first", "second"], (40, 60))


def test_a_size_is_told_as_width_times_height():
    assert size_differs("a.xml", (30, 50), (40, 60)) == "a.xml: gives 50x30 pixels, its image has 60x40"
