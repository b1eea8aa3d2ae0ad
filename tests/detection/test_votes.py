"""Votes of boxes, and scores that know where proposals lay."""

from __future__ import annotations

import math

import pytest
import torch
from torch.testing import assert_close

from detkit.detection.postprocess import Postprocess, finish
from detkit.structures import Boxes


def finished(rows, scores, **settings):
    count = len(rows)
    labels = torch.zeros(count, dtype=torch.int64)
    return finish(
        Boxes.of(rows), torch.tensor(scores), labels, torch.arange(count), (100, 100), Postprocess(**settings)
    )


def test_a_kept_box_is_the_weighted_mean_of_the_boxes_around_it():
    # (0, 0, 10, 10) and (0, 0, 10, 8) have an IoU of .8; weights are sigmoid(ln 3) = 3/4 and sigmoid(0) = 1/2.
    # y2 = (.75 * 10 + .5 * 8) / 1.25 = 9.2. The box far away votes for itself alone.
    rows = [[0, 0, 10, 10], [0, 0, 10, 8], [50, 50, 60, 60]]
    found = finished(rows, [math.log(3), 0.0, -1.0], vote_iou=0.5, vote_slope=1.0)
    assert_close(found.boxes.tensor, torch.tensor([[0.0, 0, 10, 9.2], [50, 50, 60, 60]]))
    assert found.scores.tolist() == pytest.approx([math.log(3), -1.0])


def test_without_a_slope_a_box_weighs_its_score_and_nothing_below_zero():
    # y2 = (.9 * 10 + .1 * 8) / 1 = 9.8, as published; the third box would pull x1 to the left.
    rows = [[0, 0, 10, 10], [0, 0, 10, 8], [1, 0, 10, 10]]
    found = finished(rows, [0.9, 0.1, -5.0], vote_iou=0.5)
    assert_close(found.boxes.tensor, torch.tensor([[0.0, 0, 10, 9.8]]))


def test_a_box_that_overlaps_less_has_no_vote():
    # IoU .8, which is .5 or more and less than .9.
    rows = [[0, 0, 10, 10], [0, 0, 10, 8]]
    assert finished(rows, [1.0, 0.5], vote_iou=0.9).boxes.tensor.tolist() == [[0, 0, 10, 10]]
    assert finished(rows, [1.0, 0.5], vote_iou=0.8).boxes.tensor.tolist() != [[0, 0, 10, 10]]


def test_of_two_classes_each_has_its_own_votes():
    boxes = Boxes.of([[0, 0, 10, 10], [0, 0, 10, 8]])
    labels = torch.tensor([0, 1])
    found = finish(boxes, torch.tensor([1.0, 0.5]), labels, labels, (100, 100), Postprocess(vote_iou=0.5))
    assert found.boxes.tensor.tolist() == boxes.tensor.tolist()


@pytest.mark.parametrize("slope", [None, 3.0])
def test_scores_far_below_zero_leave_a_box_in_its_place(slope):
    found = finished([[0, 0, 10, 10]], [-1e6], vote_iou=0.5, vote_slope=slope)
    assert found.boxes.tensor.tolist() == [[0, 0, 10, 10]]


def test_no_candidate_needs_no_vote():
    assert len(finished(torch.zeros(0, 4), [], vote_iou=0.5)) == 0


def test_without_votes_boxes_keep_every_bit():
    rows = [[0.1, 0.2, 10.3, 10.4], [0, 0, 10, 8]]
    assert torch.equal(finished(rows, [1.0, 0.5]).boxes.tensor, Boxes.of(rows[:1]).tensor)
