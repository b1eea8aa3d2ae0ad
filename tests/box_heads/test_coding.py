import numpy as np
import pytest
import torch
from torch.testing import assert_close

from detkit.box_heads.coding import MAX_LOG_SCALE, decode_boxes, encode_boxes
from detkit.structures import Boxes


def random_boxes(count, seed):
    rng = np.random.default_rng(seed)
    corner = rng.random((count, 2)) * 300
    return Boxes.of(np.concatenate([corner, corner + 10 + rng.random((count, 2)) * 200], 1))


def test_target_of_double_width_moves_by_one_width():
    # 10x20 at the origin -> 20x20 from x=5: centre 5 -> 15 is one source width, log(20/10)
    target = encode_boxes(Boxes.of([[0, 0, 10, 20]]), Boxes.of([[5, 0, 25, 20]]))
    assert_close(target, torch.tensor([[1, 0, np.log(2), 0]], dtype=torch.float64))


def test_target_of_half_height_moves_by_a_quarter_height():
    # 10x20 -> its lower half: centre 10 -> 15 of height 20, log(10/20)
    target = encode_boxes(Boxes.of([[0, 0, 10, 20]]), Boxes.of([[0, 10, 10, 20]]))
    assert_close(target, torch.tensor([[0, 0.25, 0, np.log(0.5)]], dtype=torch.float64))


def test_a_box_is_its_own_target_zero():
    boxes = random_boxes(50, 0)
    assert (encode_boxes(boxes, boxes) == 0).all()
    assert torch.equal(decode_boxes(boxes, torch.zeros(50, 4)).tensor, boxes.tensor)


@pytest.mark.parametrize("inclusive", [False, True])
def test_decoding_the_target_gives_the_goal(inclusive):
    boxes, goals = random_boxes(200, 1), random_boxes(200, 2)
    decoded = decode_boxes(boxes, encode_boxes(boxes, goals, inclusive=inclusive), inclusive=inclusive)
    # float32 boxes up to 500 pixels are 3e-5 apart
    assert_close(decoded.tensor, goals.tensor, rtol=0, atol=1e-4)


def test_targets_do_not_change_when_both_boxes_move_or_grow():
    boxes, goals = random_boxes(50, 3), random_boxes(50, 4)
    moved, moved_goals = (Boxes(b.tensor * 4 + torch.tensor([64.0, 32, 64, 32])) for b in (boxes, goals))
    assert_close(encode_boxes(moved, moved_goals), encode_boxes(boxes, goals), rtol=0, atol=1e-4)


def test_inclusive_widths_are_one_less():
    # pixels 0..9 -> 0..19: width 9 -> 19, centre 4.5 -> 9.5
    target = encode_boxes(Boxes.of([[0, 0, 10, 10]]), Boxes.of([[0, 0, 20, 10]]), inclusive=True)
    assert_close(target, torch.tensor([[5 / 9, 0, np.log(19 / 9), 0]], dtype=torch.float64))


def test_an_inclusive_box_of_one_pixel_stays_finite():
    boxes = Boxes.of([[5, 5, 6, 6]])
    target = encode_boxes(boxes, Boxes.of([[5, 5, 7, 7]]), inclusive=True)
    assert torch.isfinite(target).all()
    assert_close(decode_boxes(boxes, torch.zeros(1, 4), inclusive=True).tensor, boxes.tensor, rtol=0, atol=2e-3)


def test_a_side_grows_by_at_most_the_limit():
    grown = decode_boxes(Boxes.of([[0, 0, 8, 8]]), torch.tensor([[0.0, 0.0, 1e6, -1e6]])).tensor[0]
    assert_close(grown[2] - grown[0], torch.tensor(8 * np.exp(MAX_LOG_SCALE), dtype=torch.float32))
    assert_close(grown[3] - grown[1], torch.tensor(8 / 62.5))


def test_no_boxes_have_no_targets():
    nothing = Boxes.of([])
    assert encode_boxes(nothing, nothing).shape == (0, 4)
    assert len(decode_boxes(nothing, torch.zeros(0, 4))) == 0


def test_without_the_logarithm_a_side_changes_by_its_own_lengths():
    # 10x20 -> 20x10 from x=5: centre (5, 10) -> (15, 5); 20 / 10 - 1 and 10 / 20 - 1
    target = encode_boxes(Boxes.of([[0, 0, 10, 20]]), Boxes.of([[5, 0, 25, 10]]), coder="relative")
    assert target.tolist() == [[1, -0.25, 1, -0.5]]


def test_in_pixels_targets_are_plain_differences():
    target = encode_boxes(Boxes.of([[0, 0, 10, 20]]), Boxes.of([[5, 0, 25, 10]]), coder="pixels")
    assert target.tolist() == [[10, -5, 10, -10]]


@pytest.mark.parametrize("coder", ["relative", "pixels"])
@pytest.mark.parametrize("inclusive", [False, True])
def test_every_coder_takes_back_its_own_targets_and_not_those_of_another(coder, inclusive):
    boxes, goals = random_boxes(200, 1), random_boxes(200, 2)
    targets = encode_boxes(boxes, goals, inclusive=inclusive, coder=coder)
    decoded = decode_boxes(boxes, targets, inclusive=inclusive, coder=coder)
    assert_close(decoded.tensor, goals.tensor, rtol=0, atol=1e-4)
    assert not torch.allclose(decode_boxes(boxes, targets, inclusive=inclusive).tensor, goals.tensor, atol=1)
    assert torch.equal(decode_boxes(boxes, torch.zeros(200, 4), coder=coder).tensor, boxes.tensor)


def test_all_but_pixels_are_alike_at_twice_the_scale():
    boxes, goals = random_boxes(50, 3), random_boxes(50, 4)
    twice = Boxes(boxes.tensor * 2), Boxes(goals.tensor * 2)
    for coder, factor in (("log", 1), ("relative", 1), ("pixels", 2)):
        expected = factor * encode_boxes(boxes, goals, coder=coder)
        assert_close(encode_boxes(*twice, coder=coder), expected, rtol=0, atol=1e-4)


def test_the_log_and_the_relative_change_agree_to_first_order():
    # d - d^2 / 2 < log(1 + d) < d
    boxes, goals = Boxes.of([[0, 0, 100, 100]]), Boxes.of([[0, 0, 101, 102]])
    log, relative = (encode_boxes(boxes, goals, coder=coder)[0, 2:] for coder in ("log", "relative"))
    assert ((relative - relative**2 / 2 < log) & (log < relative)).all()


@pytest.mark.parametrize(("coder", "unit"), [("relative", 1.0), ("pixels", 8.0)])
def test_every_coder_has_the_same_limits(coder, unit):
    deltas = torch.tensor([[0.0, 0.0, 1e6, -2 * unit]])
    grown = decode_boxes(Boxes.of([[0, 0, 8, 8]]), deltas, coder=coder).tensor[0]
    assert_close(grown[2] - grown[0], torch.tensor(8 * 62.5))
    assert_close(grown[3] - grown[1], torch.tensor(8 / 62.5))
