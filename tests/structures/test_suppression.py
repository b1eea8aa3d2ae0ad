import numpy as np
import pytest
import torch

from detkit.structures import Boxes, nms


def brute_nms(boxes, scores, iou):
    kept: list[int] = []
    for row in sorted(range(len(boxes)), key=lambda r: (-scores[r], r)):
        if all(pair_iou(boxes[row], boxes[k]) <= iou for k in kept):
            kept.append(row)
    return kept


def pair_iou(a, b):
    inter = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    return inter / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter)


@pytest.mark.parametrize("iou", [0.0, 0.3, 0.5, 1.0])
def test_nms_equals_the_double_loop_with_ties(iou):
    rng = np.random.default_rng(2)
    corner, side = rng.integers(0, 30, (200, 2)), rng.integers(1, 20, (200, 2))
    boxes, scores = np.concatenate([corner, corner + side], 1), rng.integers(0, 20, 200)
    kept = nms(Boxes.of(boxes), torch.tensor(scores, dtype=torch.float32), iou)
    assert kept.tolist() == brute_nms(boxes.tolist(), scores.tolist(), iou)


def test_no_box_and_a_single_box():
    assert nms(Boxes.of([]), torch.zeros(0), 0.5).tolist() == []
    assert nms(Boxes.of([[0, 0, 4, 4]]), torch.zeros(1), 0.0).tolist() == [0]


def test_an_iou_of_exactly_the_threshold_is_kept():
    # 6 pixels shared: 13 + 13 - 6 = 20, IoU 3/10.
    boxes = Boxes.of([[0, 0, 13, 1], [7, 0, 20, 1]])
    assert nms(boxes, torch.tensor([1.0, 0.5]), 0.3).tolist() == [0, 1]
    assert nms(boxes, torch.tensor([1.0, 0.5]), 0.29999).tolist() == [0]
