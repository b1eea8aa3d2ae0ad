import numpy as np
import pytest
import torch
from torch.testing import assert_close

from detkit.box_heads.ridge import Ridge
from detkit.regions import held
from detkit.structures import Boxes
from detkit.testing import check_component

SQUARE, FAR = [0, 0, 40, 40], [60, 60, 90, 90]


@pytest.fixture
def shifted(make_index, array_source):
    """Six images of two classes with regions shifted to the right by up to eight pixels, as their feature says."""
    shifts = np.arange(0, 9)
    images = [([SQUARE], [i % 2], [[s, 0, 40 + s, 40] for s in shifts] + [FAR]) for i in range(6)]
    index = make_index(images, 2)
    features = np.ones((len(index), 2), dtype=np.float32)
    features[:, 0] = index.boxes.tensor[:, 0].numpy() / 8
    return array_source(index, features)


def fit(source, **settings):
    head = Ridge(num_classes=2, feature_dim=source.dim, **settings)
    return head.fit(source, np.random.default_rng(0))


def test_a_shift_that_the_features_tell_is_taken_back(shifted):
    head = fit(shifted, alpha=1e-3)
    moved = head.refine(torch.tensor([[0.5, 1.0]]), Boxes.of([[4, 0, 44, 40]]), torch.tensor([0]))
    assert_close(moved.tensor, torch.tensor([SQUARE], dtype=torch.float32), rtol=0, atol=0.01)


def test_a_huge_alpha_leaves_the_mean_of_the_targets(shifted):
    # with bias the mean survives, without it nothing does; the mean shift of 0 (truth), 0, 1, ..., 8 is 3.6 pixels
    boxes, labels = Boxes.of([SQUARE]), torch.tensor([1])
    with_bias = fit(shifted, alpha=1e12).refine(torch.zeros(1, 2), boxes, labels)
    without = fit(shifted, alpha=1e12, bias=False).refine(torch.zeros(1, 2), boxes, labels)
    assert_close(with_bias.tensor[0, 0], torch.tensor(-3.6), rtol=0, atol=1e-3)
    assert_close(without.tensor, boxes.tensor, rtol=0, atol=1e-3)


def test_only_regions_above_the_threshold_are_examples(shifted):
    # IoU of a shift s is (40 - s) / (40 + s): 8 gives .667, above .6 but not above .7; 7 gives .702
    assert fit(shifted).report()["examples"] == [30, 30]
    assert fit(shifted, min_iou=0.7).report()["examples"] == [27, 27]


def test_a_class_is_moved_by_its_own_examples_alone(shifted):
    first, second = fit(shifted), shifted.take(np.arange(len(shifted.index)))
    changed = second.clone()
    changed[shifted.index.image % 2 == 1] = 7
    other = fit(type(shifted)(shifted.index, changed), target_norm=0.0)
    assert torch.equal(other.weight_[0], fit(shifted, target_norm=0.0).weight_[0])
    assert not torch.equal(other.weight_[1], first.weight_[1])


def test_features_are_scaled_to_the_target_norm(shifted):
    # six images of eleven regions are all in the sample
    features = shifted.take(np.arange(len(shifted.index)))
    assert float(fit(shifted).scale_) == pytest.approx(20 / float(features.norm(dim=1).mean()), rel=1e-5)


def test_example_rows_are_the_examples_and_the_sample_for_the_norm(shifted):
    head = Ridge(num_classes=2, feature_dim=2, target_norm=0.0)
    assert len(head.example_rows(shifted.index)) == 60
    assert len(Ridge(num_classes=2, feature_dim=2).example_rows(shifted.index)) == len(shifted.index)


def test_all_classes_and_the_sample_for_the_norm_are_read_in_one_sweep(shifted):
    fit(shifted)
    assert shifted.sweeps == ["take"] and shifted.taken == len(shifted.index)


def test_holding_changes_nothing(shifted, monkeypatch):
    expected = fit(shifted)
    monkeypatch.setattr(held, "HELD_BYTES", 0)
    other = fit(shifted)
    assert torch.equal(other.weight_, expected.weight_) and torch.equal(other.bias_, expected.bias_)


def test_inclusive_widths_take_back_a_shift_as_well(shifted):
    head = fit(shifted, alpha=1e-3, widths="inclusive")
    moved = head.refine(torch.tensor([[0.5, 1.0]]), Boxes.of([[4, 0, 44, 40]]), torch.tensor([0]))
    assert_close(moved.tensor, torch.tensor([SQUARE], dtype=torch.float32), rtol=0, atol=0.01)


def test_progress_is_told_of_each_class(shifted):
    class Counter:
        count = 0

        def update(self, count=1):
            self.count += count

    counter = Counter()
    Ridge(num_classes=2, feature_dim=2).fit(shifted, np.random.default_rng(0), progress=counter)
    assert counter.count == 2


def test_fitting_again_forgets_the_first_fit(shifted, make_index, array_source):
    head = fit(shifted)
    index = make_index([([], [], [FAR])], 2)
    head.fit(array_source(index, np.ones((1, 2), np.float32)), np.random.default_rng(0))
    assert not head.weight_.any() and head.report()["unmoved"] == [0, 1]


@pytest.mark.parametrize("coder", ["relative", "pixels"])
def test_other_targets_take_back_a_shift_as_well(shifted, coder):
    head = fit(shifted, alpha=1e-3, coder=coder)
    moved = head.refine(torch.tensor([[0.5, 1.0]]), Boxes.of([[4, 0, 44, 40]]), torch.tensor([0]))
    assert_close(moved.tensor, torch.tensor([SQUARE], dtype=torch.float32), rtol=0, atol=0.01)


def test_moves_in_pixels_do_not_grow_with_the_box(shifted):
    features, boxes = torch.tensor([[0.5, 1.0]] * 2), Boxes.of([[4, 0, 44, 40], [8, 0, 88, 80]])
    for coder, moves in (("log", (-4, -8)), ("pixels", (-4, -4))):
        moved = fit(shifted, alpha=1e-3, coder=coder).refine(features, boxes, torch.tensor([0, 0]))
        shift = moved.tensor[:, 0] - boxes.tensor[:, 0]
        assert_close(shift, torch.tensor(moves, dtype=torch.float32), rtol=0, atol=0.02)


def test_targets_are_the_papers_unless_another_coder_is_asked_for(shifted):
    plain, named = fit(shifted), fit(shifted, coder="log")
    assert torch.equal(plain.weight_, named.weight_) and torch.equal(plain.bias_, named.bias_)
    # all sides are equal, so the logs of their changes are 0
    assert plain.weight_[:, :2].any() and plain.weight_[:, 2:].abs().max() < 1e-6


@pytest.mark.parametrize("coder", ["relative", "pixels"])
def test_other_targets_keep_the_contract(coder):
    check_component(Ridge, coder=coder)
