import pytest
import torch

from detkit.structures import Boxes, Proposals


def test_unranked_proposals_have_objectness_zero():
    proposals = Proposals.unranked(Boxes.of([[0, 0, 2, 2], [1, 1, 3, 3]]), (4, 4))
    assert len(proposals) == 2 and proposals.objectness.tolist() == [0, 0]


def test_no_proposals_are_legal():
    assert len(Proposals.unranked(Boxes.of([]), (4, 4))) == 0


def test_a_box_without_area_is_an_error_that_names_the_row():
    with pytest.raises(ValueError, match=r"box 1 has no area: \[3.0, 0.0, 3.0, 5.0\]"):
        Proposals.unranked(Boxes.of([[0, 0, 2, 2], [3, 0, 3, 5]]), (9, 9))


def test_objectness_of_another_length_or_dtype_is_an_error():
    boxes = Boxes.of([[0, 0, 2, 2]])
    with pytest.raises(ValueError, match=r"expected objectness float32 \(1,\), got torch.float32 \(2,\)"):
        Proposals(boxes, torch.zeros(2), (4, 4))
    with pytest.raises(ValueError, match=r"got torch\.float64"):
        Proposals(boxes, torch.zeros(1, dtype=torch.float64), (4, 4))
