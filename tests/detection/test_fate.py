"""What became of regions, on scenes of a few boxes whose way is worked out by hand."""

from dataclasses import replace

import pytest
import torch

from detkit.box_heads.identity import Identity
from detkit.classifiers.linear_svm import LinearSVM
from detkit.detection.detector import Steps
from detkit.detection.fate import Fate, Overlap
from detkit.detection.postprocess import Postprocess, finish
from detkit.detection.scorer import RegionScorer
from detkit.structures import Boxes, Proposals


class Away(Identity):
    """Moves what stands left of 0.5 out of the image."""

    def refine(self, features, boxes, labels):
        left = boxes.tensor[:, :1] < 0.5
        return Boxes(torch.where(left, boxes.tensor - 500, boxes.tensor))


def steps_of(boxes, scores, min_score=-10.0, last=None, **settings):
    """The steps of a detector whose scores are given, and those of the last crops of one class, best region first."""
    scores, settings = torch.tensor(scores), Postprocess(**settings)
    svm = LinearSVM(num_classes=scores.shape[1], feature_dim=1)
    svm.score = lambda features: scores
    scorer = RegionScorer(svm, "fc7", Away(num_classes=1, feature_dim=1), "pool5")
    proposals = Proposals.unranked(Boxes.of(boxes), (100, 100))
    once = replace(settings, refine_iterations=1)
    found = scorer.candidates(proposals.boxes, {"fc7": scores}, once, -10.0 if last else min_score)
    if last is not None:
        found = replace(found, refined_scores=torch.tensor(last))[torch.tensor(last) >= min_score]
    kept = finish(found.refined, found.refined_scores, found.labels, found.rows, (100, 100), settings)
    least = torch.as_tensor(min_score, dtype=torch.float32).expand(scores.shape[1])
    return Steps(None, proposals, {}, least, settings, found, kept)


# Side by side: 0 and 1 share 9 of 11 columns, 1 and 2 share 5 of 15, 0 and 2 share 4 of 16; 3 stands apart.
ROW = [[1, 0, 11, 10], [2, 0, 12, 10], [7, 0, 17, 10], [50, 0, 60, 10]]


def test_the_best_box_that_overlaps_by_enough_is_the_one_that_suppresses():
    steps = steps_of(ROW, [[3.0], [2.0], [1.0], [0.5]], nms_iou=0.3)
    # 1 would suppress 2 (5/15), but 1 is gone: 0 has taken it, and 0 leaves 2 alone (4/16)
    assert Fate.of(steps, 1, 0) == Fate("suppressed", 2, by=Overlap(0, pytest.approx(9 / 11)))
    assert Fate.of(steps, 0, 0) == Fate("detected", 1, suppressed=(Overlap(1, pytest.approx(9 / 11)),))
    assert Fate.of(steps, 2, 0) == Fate("detected", 3)
    both = steps_of(ROW, [[3.0], [2.0], [1.0], [0.5]], nms_iou=0.2)
    assert Fate.of(both, 2, 0).by == Overlap(0, pytest.approx(4 / 16))
    assert [one.region for one in Fate.of(both, 0, 0).suppressed] == [1, 2]


def test_each_step_before_suppression_is_named():
    never = float("-inf")
    steps = steps_of(
        ROW, [[3.0, never], [2.0, 0.0], [1.0, 0.0], [0.5, 0.0]], torch.tensor([0.6, -1.0]), top_per_image=1
    )
    assert Fate.of(steps, 3, 0).kind == "below threshold"
    assert Fate.of(steps, 1, 0).kind == "beyond the cap"
    assert Fate.of(steps, 0, 1) == Fate("never fires", 4)
    left = steps_of([[0, 0, 10, 10]], [[1.0]])
    assert Fate.of(left, 0, 0).kind == "no area"


def test_a_region_that_goes_to_another_class_is_told_from_one_beyond_the_cap():
    steps = steps_of(ROW, [[3.0, 2.0], [1.0, 2.0], [1.0, 0.0], [0.0, 0.0]], one_class_per_region=True)
    assert Fate.of(steps, 0, 1).kind == "other class"
    assert Fate.of(steps, 0, 0).kind == "detected"


def test_where_new_crops_are_scored_the_last_score_decides():
    # 1 overtakes 0, and 3 falls below the threshold of 0
    words = {"last": [1.0, 2.0, 0.5, -1.0], "min_score": 0.0, "refine_iterations": 2, "rescore": True}
    steps = steps_of(ROW, [[3.0], [2.0], [1.0], [0.5]], **words)
    assert Fate.of(steps, 0, 0).by == Overlap(1, pytest.approx(9 / 11))
    assert Fate.of(steps, 3, 0).kind == "below threshold"
    assert Fate.of(steps, 1, 0).kind == "detected"


def test_where_new_crops_are_scored_a_region_of_another_class_is_told_from_one_below_the_threshold():
    # candidates by region: 0 as class 0, 1 as class 1, 2 as class 0; equals go to the lower class
    scores, words = [[3.0, 2.0], [1.0, 2.0], [1.0, 1.0]], {"refine_iterations": 2, "rescore": True}
    last = [-1.0, 2.0, 0.5]  # of 0 and 2 as class 0, then of 1 as class 1
    steps = steps_of(ROW[:3], scores, 0.0, last, one_class_per_region=True, **words)
    assert [Fate.of(steps, row, 1).kind for row in range(3)] == ["other class", "detected", "other class"]
    assert [Fate.of(steps, row, 0).kind for row in range(3)] == ["below threshold", "other class", "detected"]
