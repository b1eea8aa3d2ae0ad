from pathlib import Path

import pytest
import torch

from detkit.structures import Annotations, Boxes, Sample

TWO = Boxes.of([[0, 0, 1, 1], [2, 2, 5, 5]])


def test_flags_left_out_are_false():
    annotations = Annotations.of(TWO, [3, 1])
    assert annotations.labels.tolist() == [3, 1] and annotations.labels.dtype == torch.int64
    assert not annotations.difficult.any() and not annotations.crowd.any()


def test_annotations_are_chosen_by_mask_with_their_flags():
    chosen = Annotations.of(TWO, [3, 1], difficult=[False, True], crowd=[True, False])[torch.tensor([False, True])]
    assert len(chosen) == 1 and chosen.labels.tolist() == [1]
    assert chosen.difficult.tolist() == [True] and chosen.crowd.tolist() == [False]


def test_truncated_is_unknown_unless_it_is_told_and_goes_with_its_rows():
    assert Annotations.of(TWO, [3, 1])[1:].truncated is None
    assert Annotations.of(TWO, [3, 1], truncated=[True, False])[1:].truncated.tolist() == [False]


def test_an_image_without_objects_has_empty_annotations():
    assert len(Annotations.of(Boxes.of([]), [])) == 0


def test_another_number_of_labels_is_an_error():
    with pytest.raises(ValueError, match=r"expected labels torch.int64 \(2,\), got torch.int64 \(3,\)"):
        Annotations.of(TWO, [0, 1, 2])


def test_flags_that_are_no_booleans_are_an_error():
    zeros = torch.zeros(2, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"expected crowd torch.bool \(2,\), got torch.int64"):
        Annotations(TWO, zeros, zeros.bool(), zeros, zeros.double())


def test_areas_left_out_are_those_of_the_boxes_and_go_with_their_rows():
    assert Annotations.of(TWO, [3, 1]).area.tolist() == [1, 9]
    assert Annotations.of(TWO, [3, 1], area=[0.5, 7.25])[1:].area.tolist() == [7.25]


def test_a_sample_without_pixels_is_an_error():
    with pytest.raises(ValueError, match=r"sample 000012: expected a positive \(height, width\), got \(0, 5\)"):
        Sample("000012", Path("000012.jpg"), (0, 5))
