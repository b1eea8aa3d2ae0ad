import numpy as np
import pytest
import torch

from detkit.detection.postprocess import Postprocess, finish, select, set_thresholds
from detkit.structures import Boxes

INF = float("inf")


def triples(selected):
    rows, labels, scores = selected
    return list(zip(rows.tolist(), labels.tolist(), scores.tolist()))


def test_every_class_takes_its_best_regions_by_falling_score():
    scores = torch.tensor([[1.0, 5.0], [3.0, 4.0], [2.0, 6.0]])
    assert triples(select(scores, Postprocess(top_per_image=2))) == [(1, 0, 3), (2, 0, 2), (2, 1, 6), (0, 1, 5)]


def test_a_tie_at_the_cap_goes_to_the_lower_row():
    scores = torch.zeros(50, 1)
    assert select(scores, Postprocess(top_per_image=3))[0].tolist() == [0, 1, 2]


def test_a_class_at_minus_infinity_has_no_candidates():
    assert triples(select(torch.tensor([[-INF, 0.0], [-INF, -INF]]), Postprocess())) == [(0, 1, 0)]


def test_min_score_itself_is_a_candidate():
    scores = torch.tensor([[0.5], [0.4999], [0.6]])
    assert select(scores, Postprocess(), min_score=0.5)[0].tolist() == [2, 0]


def test_one_class_per_region_leaves_the_best_and_of_equals_the_lower_class():
    scores = torch.tensor([[1.0, 2.0, 0.0], [3.0, 0.0, 3.0]])
    assert triples(select(scores, Postprocess(one_class_per_region=True))) == [(1, 0, 3), (0, 1, 2)]


def test_a_threshold_of_each_class_holds_for_its_own_scores():
    scores = torch.tensor([[0.25, 0.25], [-0.5, 0.75]])
    chosen = select(scores, Postprocess(), torch.tensor([-0.5, 0.5]))
    assert triples(chosen) == [(0, 0, 0.25), (1, 0, -0.5), (1, 1, 0.75)]


def test_one_class_per_region_is_the_best_of_those_that_score_enough():
    # .4 is better than -.4, but below its class's threshold
    scores = torch.tensor([[-0.4, 0.4], [0.9, 0.6]])
    chosen = select(scores, Postprocess(one_class_per_region=True), torch.tensor([-0.5, 0.5]))
    assert [(row, label) for row, label, _ in triples(chosen)] == [(1, 0), (0, 0)]


def test_one_class_per_region_is_settled_before_the_cap():
    # Row 0 is class 1's; so class 0's single place goes to row 1 although row 0 scores more.
    scores = torch.tensor([[8.0, 9.0], [7.0, 0.0]])
    chosen = select(scores, Postprocess(one_class_per_region=True, top_per_image=1))
    assert triples(chosen) == [(1, 0, 7), (0, 1, 9)]


@pytest.mark.parametrize("shape", [(0, 3), (4, 0), (0, 0)])
@pytest.mark.parametrize("one_class", [True, False])
def test_no_regions_or_no_classes_give_no_candidates(shape, one_class):
    rows, labels, scores = select(torch.zeros(shape), Postprocess(one_class_per_region=one_class))
    assert (len(rows), len(labels), len(scores)) == (0, 0, 0)
    assert (rows.dtype, labels.dtype, scores.dtype) == (torch.int64, torch.int64, torch.float32)


def test_selection_equals_a_python_sort():
    scores = torch.from_numpy(np.random.default_rng(0).integers(0, 9, (40, 3)).astype(np.float32))
    expected = [
        (row, label, float(scores[row, label]))
        for label in range(3)
        for row in sorted(range(40), key=lambda r: (-scores[r, label].item(), r))[:7]
    ]
    assert triples(select(scores, Postprocess(top_per_image=7))) == expected


def test_the_set_cap_is_the_score_of_the_last_candidate_inside_it():
    # 2 images x 2: the fourth best of class 0 is 4; class 1 has only three candidates.
    scores, labels = torch.tensor([9.0, 4.0, 7.0, 1.0, 5.0, 2.0, 2.0, 2.0]), torch.tensor([0] * 5 + [1] * 3)
    assert set_thresholds(scores, labels, 2, 2, Postprocess(top_per_class=2)).tolist() == [4.0, -INF]


def test_equals_at_the_set_cap_all_stay_whatever_their_order():
    scores = torch.tensor([3.0, 3.0, 3.0, 1.0])
    for order in (torch.arange(4), torch.tensor([3, 2, 1, 0])):
        (limit,) = set_thresholds(scores[order], torch.zeros(4), 1, 1, Postprocess(top_per_class=2)).tolist()
        assert int((scores >= limit).sum()) == 3


def test_as_many_candidates_as_the_cap_prune_nothing():
    assert set_thresholds(torch.tensor([2.0, 1.0]), torch.zeros(2), 1, 2, Postprocess(top_per_class=1)).item() == -INF


def test_a_set_cap_of_zero_prunes_nothing():
    assert set_thresholds(torch.arange(9.0), torch.zeros(9), 1, 1, Postprocess(top_per_class=0)).item() == -INF


def test_the_set_cap_replays_the_running_rule_of_the_original():
    # A running list cut to the best 2 x 3 after each of three images ends at the same threshold.
    rng = np.random.default_rng(1)
    images = [rng.normal(size=8).astype(np.float32) for _ in range(3)]
    running: list[float] = []
    for image in images:
        running = sorted([*running, *image.tolist()], reverse=True)[:6]
    scores = torch.from_numpy(np.concatenate(images))
    assert set_thresholds(scores, torch.zeros(24), 1, 3, Postprocess(top_per_class=2)).item() == running[-1]


def finished(boxes, scores, labels, size=(100, 100), **settings):
    rows = torch.arange(len(boxes)) + 10
    return finish(
        Boxes.of(boxes), torch.tensor(scores), torch.tensor(labels).long(), rows, size, Postprocess(**settings)
    )


def test_detections_come_by_falling_score_with_their_proposal_rows():
    found = finished([[0, 0, 9, 9], [50, 50, 60, 60], [20, 0, 30, 9]], [0.1, 0.9, 0.5], [1, 1, 0])
    assert found.scores.tolist() == pytest.approx([0.9, 0.5, 0.1])
    assert (found.labels.tolist(), found.proposal_rows.tolist()) == ([1, 0, 1], [11, 12, 10])


def test_suppression_stays_within_a_class():
    assert len(finished([[0, 0, 9, 9]] * 2, [0.9, 0.8], [0, 1])) == 2
    assert len(finished([[0, 0, 9, 9]] * 2, [0.9, 0.8], [1, 1])) == 1


def test_boxes_are_clipped_before_they_suppress():
    # Unclipped the two share 10 of 90 columns; cut to the 20 columns of the image they are the same box.
    found = finished([[10, 0, 60, 10], [10, 0, 20, 10]], [0.9, 0.8], [0, 0], size=(10, 20))
    assert found.boxes.tensor.tolist() == [[10, 0, 20, 10]]


def test_a_box_outside_the_image_or_turned_over_is_dropped():
    found = finished([[200, 0, 300, 10], [30, 30, 20, 40], [0, 0, 5, 5]], [0.9, 0.8, 0.7], [0, 0, 0])
    assert found.proposal_rows.tolist() == [12]


def test_no_candidates_give_no_detections():
    assert len(finished(np.zeros((0, 4)), [], [])) == 0
    assert len(finished([[200, 0, 300, 10]], [0.9], [0])) == 0


def test_equal_scores_go_to_the_lower_class_then_the_earlier_candidate():
    found = finished([[0, 0, 5, 5], [10, 0, 15, 5], [20, 0, 25, 5]], [0.5, 0.5, 0.5], [1, 1, 0])
    assert found.proposal_rows.tolist() == [12, 10, 11]
