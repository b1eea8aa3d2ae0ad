import numpy as np
import pytest
import torch
from torch.testing import assert_close
from torchvision.ops import box_iou

from detkit.structures import Boxes


def random_boxes(count, seed):
    rng = np.random.default_rng(seed)
    corner = rng.random((count, 2)) * 300
    return Boxes.of(np.concatenate([corner, corner + rng.random((count, 2)) * 200], 1))


def test_lists_arrays_and_tensors_make_the_same_boxes():
    rows = [[0.0, 1.0, 2.0, 3.5], [4.0, 5.0, 6.0, 7.0]]
    for given in (rows, np.array(rows), torch.tensor(rows)):
        assert torch.equal(Boxes.of(given).tensor, torch.tensor(rows))


def test_no_rows_make_no_boxes():
    for given in ([], np.zeros((0, 4)), torch.zeros(0, 4)):
        assert Boxes.of(given).tensor.shape == (0, 4)


def test_boxes_do_not_share_memory_with_the_array_they_came_from():
    array = np.array([[0, 0, 5, 5]], dtype=np.float32)
    boxes = Boxes.of(array)
    array[0, 0] = 3
    assert boxes.tensor[0, 0] == 0


@pytest.mark.parametrize("shape", [(4,), (4, 2), (2, 5), (1, 2, 4)])
def test_another_shape_is_an_error_that_names_it(shape):
    with pytest.raises(ValueError, match=r"expected a float32 tensor \(N, 4\), got .*" + str(shape[0])):
        Boxes.of(np.zeros(shape))


def test_a_double_tensor_is_an_error():
    with pytest.raises(ValueError, match=r"got torch\.float64"):
        Boxes(torch.zeros(1, 4, dtype=torch.float64))


def test_a_value_that_is_not_finite_is_an_error_that_names_the_row():
    with pytest.raises(ValueError, match=r"row 1 is not finite: \[0.0, nan"):
        Boxes.of([[0, 0, 1, 1], [0, float("nan"), 1, 1]])


def test_cat_keeps_the_order_and_accepts_no_parts():
    joined = Boxes.cat([Boxes.of([[0, 0, 1, 1]]), Boxes.of([]), Boxes.of([[2, 2, 3, 3]])])
    assert joined.tensor[:, 0].tolist() == [0, 2]
    assert len(Boxes.cat([])) == 0


def test_rows_are_chosen_by_slice_mask_index_and_integer():
    boxes = Boxes.of([[i, 0, i + 1, 1] for i in range(4)])
    chosen = (slice(1, 3), torch.tensor([False, True, True, False]), np.array([1, 2]), [1, 2])
    assert all(boxes[rows].tensor[:, 0].tolist() == [1, 2] for rows in chosen)
    assert boxes[3].tensor.tolist() == [[3, 0, 4, 1]]
    assert len(boxes[np.zeros(0, dtype=np.int64)]) == 0


def test_area_of_an_inverted_box_is_zero():
    assert Boxes.of([[0, 0, 4, 5], [3, 0, 1, 5], [2, 2, 2, 9]]).area().tolist() == [20, 0, 0]


def test_iou_by_hand():
    # 10x10 against its right half and 10 more pixels beside it: 50 / (100 + 100 - 50)
    iou = Boxes.of([[0, 0, 10, 10]]).iou(Boxes.of([[5, 0, 15, 10], [0, 0, 10, 10], [10, 0, 20, 10], [0, 0, 5, 4]]))
    assert_close(iou, torch.tensor([[1 / 3, 1, 0, 0.2]], dtype=torch.float64))


def test_iou_of_boxes_without_area_is_zero():
    point = Boxes.of([[5, 5, 5, 5]])
    assert point.iou(point).item() == 0
    assert point.iou(Boxes.of([[0, 0, 10, 10]])).item() == 0


def test_iou_with_no_boxes_has_no_rows_or_columns():
    assert random_boxes(3, 0).iou(Boxes.of([])).shape == (3, 0)
    assert Boxes.of([]).iou(random_boxes(2, 0)).shape == (0, 2)


def test_iou_agrees_with_torchvision():
    first, second = random_boxes(200, 1), random_boxes(150, 2)
    assert_close(first.iou(second), box_iou(first.tensor.double(), second.tensor.double()), rtol=1e-12, atol=0)


def test_iou_with_itself_is_one_and_never_more_for_nearly_equal_boxes():
    boxes = random_boxes(500, 3)
    assert (boxes.iou(boxes).diagonal() == 1).all()
    jittered = Boxes.of(boxes.tensor.numpy() + np.random.default_rng(4).uniform(-1e-5, 1e-5, (500, 4)))
    assert boxes.iou(jittered).max() <= 1


def test_clip_cuts_to_width_and_height():
    clipped = Boxes.of([[-3, -2, 50, 60], [10, 20, 700, 30]]).clip((40, 30))
    assert clipped.tensor.tolist() == [[0, 0, 30, 40], [10, 20, 30, 30]]


def test_flip_twice_is_the_same_box():
    boxes = Boxes.of([[1, 2, 5, 9]])
    assert boxes.flip(10).tensor.tolist() == [[5, 2, 9, 9]]
    assert torch.equal(boxes.flip(10).flip(10).tensor, boxes.tensor)


def test_distinct_boxes_stand_in_their_first_order():
    boxes = Boxes.of([[5, 0, 9, 9], [0, 0, 9, 9], [5, 0, 9, 9], [1, 0, 9, 9], [0, 0, 9, 9]])
    first, which = boxes.distinct()
    assert first.tolist() == [0, 1, 3]
    assert which.tolist() == [0, 1, 0, 2, 1]
    assert [part.tolist() for part in Boxes.of([]).distinct()] == [[], []]


def test_iou_of_pairs_is_the_diagonal_of_all_pairs():
    rng = np.random.default_rng(0)
    one, other = (Boxes.of(np.sort(rng.uniform(0, 9, (6, 2, 2)), 1).reshape(6, 4)) for _ in range(2))
    assert torch.equal(one.iou_of_pairs(other), one.iou(other).diagonal())
    assert len(Boxes.of([]).iou_of_pairs(Boxes.of([]))) == 0
