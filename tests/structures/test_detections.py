import pytest
import torch

from detkit.structures import Boxes, Detections

TWO = Boxes.of([[0, 0, 1, 1], [2, 2, 5, 5]])


def test_detections_from_elsewhere_know_no_proposal():
    detections = Detections.of(TWO, [0.5, -1.0], [1, 0])
    assert detections.proposal_rows.tolist() == [-1, -1]
    assert detections.scores.dtype == torch.float32 and detections.labels.dtype == torch.int64


def test_rows_are_chosen_together():
    chosen = Detections.of(TWO, [0.5, -1.0], [1, 0])[torch.tensor([1])]
    assert (chosen.boxes.tensor[0].tolist(), chosen.scores.item(), chosen.labels.item()) == ([2, 2, 5, 5], -1, 0)
    assert len(chosen[0:0]) == 0


def test_no_detections_are_legal():
    assert len(Detections.of(Boxes.of([]), [], [])) == 0


def test_another_number_of_scores_is_an_error():
    with pytest.raises(ValueError, match=r"expected scores torch.float32 \(2,\), got torch.float32 \(1,\)"):
        Detections.of(TWO, [0.5], [1, 0])
