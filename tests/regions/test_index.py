from pathlib import Path

import numpy as np
import pytest
import torch

from detkit.regions.index import RegionIndex
from detkit.structures import Annotations, Boxes, Proposals, Sample

SQUARE, SHIFTED, FAR = [0, 0, 10, 10], [0, 0, 10, 8], [50, 50, 60, 60]


@pytest.fixture
def index(make_index):
    return make_index([([SQUARE, FAR], [1, 0], [SHIFTED]), ([], [], []), ([], [], [FAR, SQUARE])], 2)


def test_truths_come_first_then_proposals_image_by_image(index):
    assert index.boxes.tensor.tolist() == [SQUARE, FAR, SHIFTED, FAR, SQUARE]
    assert index.image.tolist() == [0, 0, 0, 2, 2]
    assert index.offsets.tolist() == [0, 3, 3, 5]
    assert index.truth_label.tolist() == [1, 0, -1, -1, -1]
    assert index.label.tolist() == [1, 0, 1, 2, 2]
    assert (len(index), index.num_images) == (5, 3)


def test_foreground_and_background_rows(index):
    assert index.foreground_rows.tolist() == [0, 1, 2] and index.background_rows.tolist() == [3, 4]


def test_at_test_there_are_no_truth_rows_but_overlaps_with_them(make_index):
    index = make_index([([SQUARE], [1], [SHIFTED])], 2, with_truths=False)
    assert len(index) == 1 and index.truth_label.tolist() == [-1]
    torch.testing.assert_close(index.overlaps(0)[0], torch.tensor([[0.0, 0.8]], dtype=torch.float64))


def test_the_least_foreground_overlap_is_a_setting(make_index):
    index = make_index([([SQUARE], [1], [SHIFTED])], 2, foreground_iou=0.9)
    assert index.label.tolist() == [1, 2]


def test_difficult_truths_have_rows_only_where_they_are_used():
    annotations = Annotations.of(Boxes.of([SQUARE]), [0], difficult=[True])
    samples = [Sample("a", Path("a.png"), (100, 100), annotations)]
    found = [Proposals.unranked(Boxes.of([SHIFTED, FAR]), (100, 100))]
    used = RegionIndex.build(samples, found, 1)
    ignored = RegionIndex.build(samples, found, 1, difficult="ignore")
    assert used.label.tolist() == [0, 0, 1]
    assert ignored.label.tolist() == [-1, 1] and ignored.truth_label.tolist() == [-1, -1]
    torch.testing.assert_close(ignored.overlaps(0)[1], torch.tensor([[0.8], [0.0]], dtype=torch.float64))


def test_overlaps_are_those_of_one_images_rows(index):
    used, ignored = index.overlaps(0)
    torch.testing.assert_close(used, torch.tensor([[0, 1], [1, 0], [0, 0.8]], dtype=torch.float64))
    assert not ignored.any() and index.overlaps(1)[0].shape == (0, 2)


def test_rows_are_grouped_by_image_in_any_order(index):
    rows = np.array([4, 0, 3, 2])
    groups = {image: rows[at].tolist() for image, at in index.by_image(rows)}
    assert groups == {0: [0, 2], 2: [4, 3]}


def test_no_rows_make_no_groups(index):
    assert list(index.by_image(np.zeros(0, dtype=np.int64))) == []


def test_no_images_make_an_empty_index():
    index = RegionIndex.build([], [], 2)
    assert len(index) == 0 and index.offsets.tolist() == [0] and len(index.foreground_rows) == 0


def test_another_number_of_proposal_lists_is_an_error(index):
    with pytest.raises(ValueError, match="3 images but 0 proposal lists"):
        RegionIndex.build(index.samples, [], 2)


def test_what_is_neither_foreground_nor_background_has_no_label(make_index):
    # IoU with SQUARE: 1 (the truth), .8, 0 and .05
    images = [([SQUARE], [1], [SHIFTED, FAR, [0, 0, 10, 0.5]])]
    index = make_index(images, 2, foreground_iou=0.9, background_from=0.02, background_below=0.5)
    assert index.label.tolist() == [1, -1, -1, 2]
    assert (index.foreground_rows.tolist(), index.background_rows.tolist()) == ([0], [3])
