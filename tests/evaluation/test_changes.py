"""What two runs show of one scene, by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from detkit.evaluation.changes import changes, same_detections
from detkit.structures import Annotations, Boxes, Detections, Sample

CLASSES = ("cat", "dog")
CAT, DOG = (10, 10, 50, 50), (60, 10, 90, 40)


def scene(difficult=(False, False)):
    truths = Annotations.of(Boxes.of([CAT, DOG]), [0, 1], list(difficult))
    return Sample("a", Path("a.jpg"), (100, 100), truths)


def found(*rows):
    """Detections of (box, label, score) rows."""
    boxes, labels, scores = zip(*rows) if rows else ((), (), ())
    return Detections.of(Boxes.of(list(boxes)), list(scores), list(labels))


def listed(first, second, sample=None):
    return [
        (c.kind, c.label, c.first, c.second, c.verdict)
        for c in changes([sample or scene()], [first], [second], CLASSES)
    ]


def test_what_both_show_alike_is_no_change():
    # scores differ and the cat's box is one pixel wider, with IoU 1600 / 1640
    assert listed(found((CAT, 0, 0.9)), found(((10, 10, 51, 50), 0, 0.2))) == []
    assert listed(found(), found()) == []


def test_what_only_one_shows_has_vanished_or_appeared():
    elsewhere = (0, 60, 30, 90)
    first, second = found((CAT, 0, 0.9), (elsewhere, 1, 0.3)), found((CAT, 0, 0.9), (DOG, 1, 0.8))
    assert listed(first, second) == [("vanished", 1, 1, -1, "wrong"), ("appeared", 1, -1, 1, "right")]
    assert listed(second, first) == [("vanished", 1, 1, -1, "right"), ("appeared", 1, -1, 1, "wrong")]


def test_a_box_that_moves_over_the_threshold_turns():
    # the cat is 40 x 40: 20 of its 40 rows are IoU 0.5, which is right, 18 are 0.45, which is wrong; both overlap 0.9
    half, less = (10, 10, 50, 30), (10, 10, 50, 28)
    assert listed(found((less, 0, 0.9)), found((half, 0, 0.9))) == [("turned", 0, 0, 0, "right")]
    assert listed(found((half, 0, 0.9)), found((less, 0, 0.9))) == [("turned", 0, 0, 0, "wrong")]


def test_half_an_object_is_wrong_where_the_overlap_must_exceed_half():
    half = found(((10, 10, 50, 30), 0, 0.9))
    loose, strict = (changes([scene()], [found()], [half], CLASSES, strict_iou=own)[0] for own in (False, True))
    assert (loose.verdict, strict.verdict) == ("right", "wrong")


def test_the_same_box_of_another_class_is_another_detection():
    assert listed(found((CAT, 0, 0.9)), found((CAT, 1, 0.9))) == [
        ("vanished", 0, 0, -1, "right"),
        ("appeared", 1, -1, 0, "wrong"),
    ]


def test_a_detection_of_a_difficult_object_is_ignored():
    change = listed(found(), found((CAT, 0, 0.9)), scene((True, False)))
    assert change == [("appeared", 0, -1, 0, "ignored")]


def test_a_duplicate_that_loses_its_better_twin_turns_right():
    # in the first run the better box finds the cat, so the other is wrong; in the second it is alone
    twin = (10, 10, 48, 50)
    assert listed(found((CAT, 0, 0.9), (twin, 0, 0.5)), found((twin, 0, 0.5))) == [
        ("vanished", 0, 0, -1, "right"),
        ("turned", 0, 1, 0, "right"),
    ]


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_rows_are_paired_by_the_largest_overlap_each_once(rows):
    boxes = [(0, 0, 10, 10), (0, 0, 10, 9), (0, 0, 10, 8)][:rows]
    one = found(*((box, 0, 0.5) for box in boxes))
    other = found(*((box, 0, 0.5) for box in reversed(boxes)))
    assert sorted(same_detections(one, other)) == [(i, rows - 1 - i) for i in range(rows)]
