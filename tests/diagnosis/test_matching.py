"""The two matchings against the evaluators, which are checked against independent programs."""

from pathlib import Path

import numpy as np
import pytest

from detkit.diagnosis import ap_by_iou, coco_verdicts, matches_of, voc_verdicts
from detkit.evaluation.coco import COCO
from detkit.evaluation.voc import VOC
from detkit.structures import Annotations, Boxes, Detections, Sample
from tests.diagnosis.scenes import RANDOM, outcome, random_outcome


def evaluated(evaluator, one):
    for i, name in enumerate(one.image_ids):
        t, d = one.truth_images == i, one.det_images == i
        truths = Annotations.of(
            Boxes.of(one.truth_boxes[t]), one.truth_labels[t].tolist(), one.difficult[t].tolist(), one.crowd[t].tolist()
        )
        found = Detections.of(Boxes.of(one.det_boxes[d]), one.det_scores[d].tolist(), one.det_labels[d].tolist())
        evaluator.add(Sample(name, Path(name), (600, 600), truths), found)
    return evaluator


def with_float_scores(settings):
    """Scores that single precision holds, as the evaluators take them."""
    one = random_outcome(**settings)
    one.det_scores[:] = one.det_scores.astype(np.float32)
    return one


@pytest.mark.parametrize(("name", "iou"), [*((name, 0.5) for name in RANDOM), ("all", 0.3), ("all", 0.75)])
def test_vocs_matching_equals_the_evaluators(name, iou):
    one = with_float_scores(RANDOM[name])
    expected = evaluated(VOC(class_names=one.class_names), one).matches(iou)
    for own, theirs in zip(matches_of(one, voc_verdicts(one, iou)), expected, strict=True):
        for column in ("scores", "hits", "images", "truths"):
            assert np.array_equal(getattr(own, column), getattr(theirs, column)), column


@pytest.mark.parametrize("name", ["all", "classes without objects"])
def test_ap_by_iou_equals_the_evaluators(name):
    one = with_float_scores(RANDOM[name])
    found = ap_by_iou(one)
    coco = evaluated(COCO(class_names=one.class_names), one).compute()["COCO"]
    assert found.coco_mean.mean() == pytest.approx(coco["AP"], abs=1e-9)
    assert found.coco_mean[[0, 5]] == pytest.approx([coco["AP50"], coco["AP75"]], abs=1e-9)
    voc = evaluated(VOC(class_names=one.class_names, iou=(0.5, 0.95)), one).compute()
    assert found.voc_mean[[0, -1]] == pytest.approx([voc["VOC10"]["mAP"], voc["VOC10@0.95"]["mAP"]], abs=1e-12)


def test_a_detection_whose_best_object_is_taken_is_wrong_for_voc_and_right_for_coco():
    truths = [(0, "cat", (0, 0, 100, 100)), (0, "cat", (0, 0, 100, 55))]
    one = outcome(truths, [(0, "cat", (0, 0, 100, 100), 0.9), (0, "cat", (0, 0, 100, 90), 0.8)])
    assert voc_verdicts(one).right.tolist() == [True, False]
    assert coco_verdicts(one).right.tolist() == [True, True]


def test_an_overlap_of_exactly_half_is_not_enough_for_a_strict_rule():
    one = outcome([(0, "cat", (0, 0, 100, 100))], [(0, "cat", (0, 0, 100, 50), 0.9)])
    assert voc_verdicts(one).right.tolist() == [True]
    assert voc_verdicts(one, strict=True).right.tolist() == [False]


def test_detections_beyond_the_cap_are_ignored_by_coco():
    one = outcome([(0, "cat", (0, 0, 9, 9))], [(0, "cat", (0, 0, 9, 9), 0.1), (0, "cat", (50, 50, 59, 59), 0.9)])
    found = coco_verdicts(one, max_dets=1)
    assert (found.right.tolist(), found.ignored.tolist()) == ([False, False], [True, False])


def test_nothing_is_matched_with_nothing():
    found = coco_verdicts(outcome([], []))
    assert len(found.truth) == len(voc_verdicts(outcome([], [])).truth) == 0
