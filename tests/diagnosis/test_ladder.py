"""Each rung broken on purpose, and named."""

from dataclasses import replace

import numpy as np
import pytest

from detkit.diagnosis import ladder
from detkit.diagnosis.ladder import RUNGS
from tests.diagnosis.scenes import outcome, random_outcome
from tests.diagnosis.test_lost import traced

GOOD = random_outcome(20, images=8, dets=4)


def good(**columns):
    """Every object found, some detections in other places."""
    boxes = np.concatenate([GOOD.truth_boxes, GOOD.det_boxes])
    images = np.concatenate([GOOD.truth_images, GOOD.det_images])
    rng = np.random.default_rng(0)
    scores = np.concatenate([rng.uniform(0.5, 1, len(GOOD.truth_boxes)), rng.uniform(0, 0.6, len(GOOD.det_boxes))])
    labels = np.concatenate([GOOD.truth_labels, GOOD.det_labels])
    order = np.argsort(images, kind="stable")
    found = {"det_boxes": boxes, "det_images": images, "det_scores": scores, "det_labels": labels}
    return replace(replace(GOOD, **{name: column[order] for name, column in found.items()}), **columns)


def told(one, trace=None):
    found = ladder(one, trace)
    assert [rung.name for rung in found.rungs] == list(RUNGS)
    return found.first_broken, next((rung.told for rung in found.rungs if rung.holds is False), "")


def test_good_detections_break_no_rung():
    found = ladder(good())
    assert found.first_broken is None
    assert [rung.holds for rung in found.rungs] == [True, True, True, True, None, True, True]


def test_no_objects_and_objects_that_do_not_count_are_broken_labels():
    assert told(outcome([], []))[0] == "labels"
    assert told(outcome([(0, "cat", (0, 0, 9, 9), "difficult")], []))[1].startswith("all 1 objects are difficult")


def test_no_detections():
    assert told(outcome([(0, "cat", (0, 0, 9, 9))], []))[0] == "detections"


def test_shifted_class_numbers_are_named():
    one = good()
    first, text = told(replace(one, det_labels=(one.det_labels + 1) % 6))
    assert first == "class names"
    assert "class1 lies on class0" in text


def test_names_that_differ_by_case_are_named():
    box = (0, 0, 50, 50)
    one = outcome([(0, "cat", box)], [(0, "Cat", box, 0.9)], classes=("cat", "Cat"))
    assert told(one) == (
        "class names",
        "what is called Cat lies on cat; with these names AP is 1.000 instead of 0.000",
    )


def test_names_that_no_object_has_are_named():
    one = outcome([(0, "cat", (0, 0, 50, 50))], [(0, "dog", (500, 500, 600, 600), 0.9)])
    assert told(one) == ("class names", "detections are of dog, objects of cat; give both the same names")


def wh(one):
    return one.sizes[one.det_images][:, ::-1].astype(float)


@pytest.mark.parametrize(
    ("mend", "spoil"),
    [
        ("x and y are swapped", lambda b, size: b[:, [1, 0, 3, 2]]),
        ("all four edges are off by one; add -1", lambda b, size: b + 1),
        ("coordinates are from 0 to 1 of the image", lambda b, size: b / np.tile(size, 2)),
        ("coordinates are from 0 to 1000 of the image", lambda b, size: b / np.tile(size, 2) * 1000),
        ("coordinates must be multiplied by 2", lambda b, size: b / 2),
        ("coordinates are of images resized to 416x416", lambda b, size: b / np.tile(size, 2) * 416),
        ("x, y, width, height were written", lambda b, size: np.concatenate([b[:, :2], b[:, 2:] - b[:, :2]], 1)),
        ("corners were written", lambda b, size: np.concatenate([b[:, :2], b[:, :2] + b[:, 2:]], 1)),
        ("x and y are the centre", lambda b, size: b + np.tile((b[:, 2:] - b[:, :2]) / 2, 2)),
        (
            "y counts from the bottom",
            lambda b, size: np.stack([b[:, 0], size[:, 1] - b[:, 3], b[:, 2], size[:, 1] - b[:, 1]], 1),
        ),
        (
            "boxes are mirrored",
            lambda b, size: np.stack([size[:, 0] - b[:, 2], b[:, 1], size[:, 0] - b[:, 0], b[:, 3]], 1),
        ),
    ],
)
def test_each_mistake_in_coordinates_is_named(mend, spoil):
    # small objects in images of 600x500, so that one pixel counts and no two corrections are the same
    one = good()
    one = replace(one, sizes=np.tile([500, 600], (one.num_images, 1)))
    small = {name: getattr(one, name) * 0.25 for name in ("det_boxes", "truth_boxes")} if "one" in mend else {}
    one = replace(one, **small)
    first, text = told(replace(one, det_boxes=spoil(one.det_boxes, wh(one))))
    assert first == "coordinates"
    assert text.startswith(mend)


def test_proposals_that_reach_too_little():
    truths = [(0, "cat", (0, 0, 100, 100)), (0, "dog", (200, 0, 300, 100)), (0, "car", (400, 0, 500, 100))]
    one = outcome(truths, [(*truths[0], 0.9)])
    first, text = told(one, traced([truths[0][2]], []))
    assert (first, text.split(",")[0]) == ("proposals", "33.3% of the objects are reached by one at IoU 0.5")


def test_scores_that_are_all_equal_and_scores_that_are_reversed():
    one = good()
    assert told(replace(one, det_scores=np.ones(len(one.det_scores))))[1].startswith("all are 1; AP needs an order")
    assert told(replace(one, det_scores=-one.det_scores))[1].startswith("low ones are the better ones")


def test_duplicates_without_nms():
    one = good()
    found = {name: np.repeat(getattr(one, name), 3, axis=0) for name in ("det_boxes", "det_labels", "det_images")}
    scores = (one.det_scores[:, None] - [0, 0.01, 0.02]).ravel()
    first, text = told(replace(one, det_scores=scores, **found))
    assert first == "NMS"
    assert "raises AP" in text


def test_many_detections_are_tried_on_some_images(monkeypatch):
    monkeypatch.setitem(ladder.__globals__, "TRIED_DETECTIONS", 50)
    assert ladder(good()).first_broken is None


def test_a_strict_overlap_is_what_corrections_are_measured_by():
    # of the overlaps 0.5, 0.75 and 0.9 half an object reaches the first, where equality counts
    half = outcome([(0, "cat", (0, 0, 100, 100))], [(0, "cat", (0, 0, 100, 50), 0.9)])
    for strict, ap in ((False, 1 / 3), (True, 0.0)):
        measured = [rung.figures["AP"] for rung in ladder(half, strict=strict).rungs if "AP" in rung.figures]
        assert measured == pytest.approx([ap] * 3)
