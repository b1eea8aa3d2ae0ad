import numpy as np
import pytest

from detkit.structures import Annotations, Boxes, Detections
from detkit.visualize import Labels, draw_detections
from detkit.visualize.draw import TRUTH_COLOR
from detkit.visualize.labels import class_color

GREY = np.full((120, 160, 3), 90, np.uint8)


def found(boxes, scores, labels=None):
    return Detections.of(Boxes.of(boxes), scores, labels or [0] * len(boxes))


def drawn(boxes, scores, labels=None, **options):
    return draw_detections(GREY, found(boxes, scores, labels), ("cat", "dog"), **options)


def has(image, color):
    return bool((image == color).all(-1).any())


def test_the_outline_lies_on_the_first_and_the_last_pixel_of_an_exclusive_box():
    image = drawn([[30, 40, 90, 100]], [0.9])
    inked = (image[60:] == class_color(0)).all(-1)
    rows, columns = inked.nonzero()
    assert (columns.min(), columns.max(), rows.max() + 60) == (30, 89, 99)


def test_the_image_itself_is_left_as_it_was():
    before = GREY.copy()
    image = drawn([[30, 40, 90, 100]], [0.9])
    assert image.shape == GREY.shape and image.dtype == np.uint8 and image.flags.writeable
    assert (before == GREY).all() and (image != GREY).any()


def test_nothing_to_draw_gives_the_image():
    assert (drawn([], []) == GREY).all()


def test_a_label_stands_above_its_box_in_the_colour_of_its_class():
    image = drawn([[30, 60, 90, 100]], [0.9], [1])
    assert has(image[45:59, 31:60], class_color(1)) and not has(image[:40], class_color(1))


@pytest.mark.parametrize("box", [[0, 0, 160, 120], [150, 0, 160, 5], [-50, -50, 20, 20], [155, 115, 160, 120]])
def test_a_label_at_the_border_stays_in_the_image(box):
    # Of the label's ground some 60 by 14 pixels must be seen, wherever the box is.
    assert int((drawn([box], [0.5]) == class_color(0)).all(-1).sum()) > 400


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3)])
def test_images_smaller_than_a_label_are_drawn(size):
    image = draw_detections(np.zeros((*size, 3), np.uint8), found([[0, 0, 0.2, 0.2]], [0.5]), ("cat",))
    assert image.shape == (*size, 3)


def test_low_scores_and_all_but_the_most_are_left_out():
    boxes, labels = [[30, 60, 60, 100], [90, 60, 120, 100]], [0, 1]
    least = drawn(boxes, [0.2, 0.5], labels, min_score=0.5)
    assert has(least, class_color(1)) and not has(least, class_color(0))
    first = drawn(boxes, [0.9, 0.5], labels, most=1)
    assert has(first, class_color(0)) and not has(first, class_color(1))


def test_the_better_of_two_boxes_lies_on_top():
    image = drawn([[30, 60, 90, 100]] * 2, [0.9, 0.1], [0, 1])
    assert tuple(image[99, 60]) == class_color(0)


def test_truths_are_green_below_the_detections_and_thin_where_they_do_not_count():
    truths = Annotations.of(Boxes.of([[30, 40, 90, 100], [110, 40, 150, 100]]), [0, 0], [False, True])
    image = draw_detections(GREY, found([], []), ("cat",), truths=truths)
    green = (image == TRUTH_COLOR).all(-1)
    assert (green[70, 30:60].sum(), green[70, 110:130].sum()) == (2, 1)
    covered = draw_detections(GREY, found([[30, 40, 90, 100]], [0.9]), ("cat",), truths=truths)
    assert tuple(covered[99, 60]) == class_color(0)


def test_ready_labels_draw_the_same():
    detections = found([[30, 60, 90, 100]], [0.9])
    assert (draw_detections(GREY, detections, Labels.of(("cat",))) == draw_detections(GREY, detections, ("cat",))).all()
