from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from detkit.diagnosis import Outcome
from detkit.diagnosis import outcome as module
from detkit.structures import Annotations, Boxes, Detections, Sample
from tests.diagnosis.scenes import outcome, random_outcome


def test_an_outcome_of_samples_has_a_row_for_each_detection_and_object():
    truths = Annotations.of(Boxes.of([[0, 0, 10, 20]]), [1], [True], truncated=[True])
    samples = [Sample("a", Path("a"), (30, 40)), Sample("b", Path("b"), (50, 60), truths)]
    found = [Detections.of(Boxes.of([[0, 0, 5, 5]]), [0.5], [0]), Detections.of(Boxes.of([]), [], [])]
    one = Outcome.of(["cat", "dog"], samples, found)
    assert one.sizes.tolist() == [[30, 40], [50, 60]]
    assert (one.det_images.tolist(), one.truth_images.tolist(), one.truth_labels.tolist()) == ([0], [1], [1])
    assert (one.difficult.tolist(), one.truncated.tolist(), one.area.tolist()) == ([True], [1], [200])
    assert one.num_truths.tolist() == [0, 0]


def test_overlaps_equal_those_of_boxes_and_do_not_depend_on_the_block(monkeypatch):
    one = random_outcome(0, images=5)
    for block in (1, 50, 10**6):
        monkeypatch.setattr(module, "PAIRS_TOGETHER", block)
        pairs = replace(one).overlaps
        dense = np.zeros((len(one.det_scores), len(one.truth_labels)))
        dense[pairs.det, pairs.truth] = pairs.iou
        expected = Boxes.of(one.det_boxes).iou(Boxes.of(one.truth_boxes)).numpy()
        expected[one.det_images[:, None] != one.truth_images] = 0
        assert np.allclose(dense, expected, atol=1e-12)
        assert np.array_equal(np.lexsort((pairs.truth, pairs.det)), np.arange(len(pairs.det)))


def test_columns_of_another_length_are_refused():
    with pytest.raises(ValueError, match=r"expected det_labels of shape \(0,\), got \(1,\)"):
        replace(outcome([], []), det_labels=np.zeros(1, np.int64))


def test_rows_that_are_not_sorted_by_image_are_refused():
    one = outcome([(0, "cat", (0, 0, 1, 1)), (1, "cat", (0, 0, 1, 1))], [], images=2)
    with pytest.raises(ValueError, match="expected truth_images that never fall"):
        replace(one, truth_images=np.array([1, 0]))
