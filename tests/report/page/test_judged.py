from dataclasses import replace

import numpy as np
import pytest

from detkit.config import load_config
from detkit.detection.calibration import Calibration
from detkit.report.page.judged import Judged, in_turn
from detkit.report.page.pictures import pictures
from detkit.report.page.thresholds import thresholds
from detkit.structures import Boxes, Detections


def test_the_first_of_each_label_comes_before_the_second_of_any():
    assert in_turn(np.array([3, 3, 1, 3, 1])).tolist() == [0, 2, 1, 4, 3]


def test_each_class_has_its_turn(inputs):
    judged, outcome = inputs.judged, inputs.judged.outcome
    rows = judged.best_by_class(~judged.verdicts.ignored, 4)
    labels = outcome.det_labels[rows].tolist()
    assert len(set(labels)) == min(4, len(set(outcome.det_labels.tolist())))
    for row, label in zip(rows[: len(set(labels))], labels):
        assert outcome.det_scores[row] == outcome.det_scores[outcome.det_labels == label].max()


def test_f1_of_what_is_shown_counts_by_hand(inputs):
    judged = inputs.judged
    right, shown = judged.verdicts.right & judged.shown, ~judged.verdicts.ignored & judged.shown
    assert judged.f1() == 2 * right.sum() / (shown.sum() + judged.num_truths)


def test_a_strict_recipe_is_not_content_with_half_an_object(inputs):
    halves = []
    for sample in inputs.dataset:
        boxes = sample.annotations.boxes.tensor.clone()
        boxes[:, 2] = (boxes[:, 0] + boxes[:, 2]) / 2
        halves.append(Detections.of(Boxes(boxes), [0.5] * len(boxes), sample.annotations.labels.tolist()))
    loose, strict = (
        Judged.of(load_config("projects/rcnn/quick.yaml", words), inputs.dataset, halves, None)
        for words in ([], ["EVALUATION.VOC.STRICT_IOU=true"])
    )
    assert loose.verdicts.right.any() and not strict.verdicts.right.any()
    assert not strict.shown.any()


@pytest.mark.parametrize(("kind", "limit"), [("margin", 0.0), ("probability", 0.5)])
def test_a_model_that_has_learnt_no_threshold_is_judged_at_its_default(inputs, kind, limit):
    found = [replace(one, scores=one.scores.clamp(0, 1)) for one in inputs.detections]  # fit for either kind
    own = replace(inputs, detections=found, calibration=Calibration.none(len(inputs.dataset.class_names), kind))
    judged = own.judged
    assert judged.source == "default" and set(judged.thresholds) == {limit}
    counts = [int((one.scores >= limit).sum()) for one in found]
    assert np.bincount(judged.outcome.det_images[judged.shown], minlength=len(counts)).tolist() == counts
    gallery = pictures(own).blocks[0]
    assert gallery.caption.endswith("the threshold that the model has by default.")
    assert [picture.alt.count(".") - picture.alt.count("nothing") for picture in gallery.pictures] == counts
    assert len(thresholds(own).blocks[1].head) == 7  # the best threshold stands beside the model's


def test_detections_without_a_model_are_judged_at_the_best_f1(inputs):
    foreign = replace(inputs, calibration=None)
    assert foreign.judged.source == "best F1" and foreign.judged.f1() >= inputs.judged.f1()
    assert pictures(foreign).blocks[0].caption.endswith("the threshold of the best F1 on these images.")
    assert len(thresholds(foreign).blocks[1].head) == 5
