from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from detkit.regions.source import LinearHead


@pytest.fixture
def index(make_index):
    # Class 0: moved by 1 and by 3 px of 20; class 1: once as it is; class 2 has only its truth; class 3 nothing.
    return make_index(
        [
            ([[0, 0, 20, 20]], [0], [[1, 0, 21, 20], [3, 0, 23, 20], [60, 60, 90, 90]]),
            ([[0, 0, 20, 20], [50, 50, 70, 90]], [1, 2], [[0, 0, 20, 25]]),
        ],
        4,
    )


def test_moves_are_normalised_by_mean_and_deviation_of_their_class(project, index):
    boxes = project.targets.BoxTargets.of(index, mirror=False)
    # Class 0 in x: 0 of the truth, -1/20 and -3/20: mean -1/15, variance (0 + 0.0025 + 0.0225) / 3 - 1/225
    std = math.sqrt(0.025 / 3 - 1 / 225)
    np.testing.assert_allclose(boxes.mean[0], [-1 / 15, 0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(boxes.std[0], [std, 1, 1, 1], atol=1e-6)
    # Class 1: y 0 and (10 - 12.5) / 25 = -0.1, height 0 and log(20 / 25)
    np.testing.assert_allclose(boxes.mean[1], [0, -0.05, 0, math.log(0.8) / 2], atol=1e-6)
    np.testing.assert_allclose(boxes.std[1], [1, 0.05, 1, -math.log(0.8) / 2], atol=1e-6)
    rows = np.array([2, 3, 0, 6])
    found = boxes.take(rows, np.zeros(4, bool))
    expected = [[(-3 / 20 + 1 / 15) / std, 0, 0, 0], [0] * 4, [1 / 15 / std, 0, 0, 0], [0, -1, 0, -1]]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_mirror_images_count_and_move_the_other_way(project, index):
    boxes = project.targets.BoxTargets.of(index, mirror=True)
    # Class 0 in x: 0, 0, +-1/20, +-3/20: mean 0, variance 2 * 0.025 / 6
    std = math.sqrt(0.05 / 6)
    np.testing.assert_allclose(boxes.mean[0], 0, atol=1e-7)
    np.testing.assert_allclose(boxes.std[0, 0], std, atol=1e-6)
    found = boxes.take(np.array([2, 2]), np.array([False, True]))
    np.testing.assert_allclose(found[:, 0], [-0.15 / std, 0.15 / std], atol=1e-5)


def test_a_mirrored_move_is_that_of_the_mirrored_boxes(project, index):
    boxes = project.targets.BoxTargets.of(index, mirror=True, stds=(1, 1, 1, 1))
    # In an image of 100 px the box 3..23 becomes 77..97 and its truth 80..100: 3 px to the right
    np.testing.assert_allclose(boxes.take(np.array([2]), np.array([True])), [[0.15, 0, 0, 0]], atol=1e-6)


def test_equal_moves_are_not_divided_by_rounding(project, make_index):
    # As wide as the truth, but 20.1 - 0.1 differs from 20 in the last bit.
    index = make_index([([[0, 0, 20, 20]], [0], [[i / 10, 0, 20 + i / 10, 20] for i in range(1, 9)])], 1)
    boxes = project.targets.BoxTargets.of(index, mirror=False)
    assert boxes.moves[:, 2].std() > 0 and boxes.std[0, 1:].tolist() == [1, 1, 1]


def test_deviations_can_be_given(project, index):
    boxes = project.targets.BoxTargets.of(index, mirror=False, stds=(0.1, 0.1, 0.2, 0.2))
    found = boxes.take(np.array([2, 6]), np.zeros(2, bool))
    np.testing.assert_allclose(found, [[-1.5, 0, 0, 0], [0, -1, 0, math.log(0.8) / 0.2]], atol=1e-5)


def test_a_region_learns_the_truth_of_its_own_label(project, make_index):
    # Two truths of the same box: the label is the lower class, and the target is that truth's; the other one's second
    # truth overlaps less.
    index = make_index([([[0, 0, 20, 20], [0, 0, 20, 20], [4, 0, 24, 20]], [1, 0, 1], [[1, 0, 21, 20]])], 2)
    boxes = project.targets.BoxTargets.of(index, mirror=False, stds=(1, 1, 1, 1))
    assert index.label[3] == 0
    np.testing.assert_allclose(boxes.take(np.array([3]), np.zeros(1, bool)), [[-0.05, 0, 0, 0]], atol=1e-6)


def test_a_split_without_foreground_has_no_targets(project, make_index):
    boxes = project.targets.BoxTargets.of(make_index([([], [], [[0, 0, 9, 9]])], 2), mirror=True)
    assert boxes.take(np.array([0]), np.zeros(1, bool)).tolist() == [[0, 0, 0, 0]]


def test_a_folded_layer_gives_the_moves_that_the_layer_gave_normalised(project, index):
    boxes = project.targets.BoxTargets.of(index, mirror=False)
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(50, 12, generator=generator)
    weight, bias = torch.randn(16, 12, generator=generator), torch.randn(16, generator=generator)
    folded = boxes.folded(LinearHead(weight, bias))
    found = (features @ folded.weight.T + folded.bias).view(50, 4, 4)
    normalised = (features @ weight.T + bias).view(50, 4, 4)
    expected = normalised * torch.from_numpy(boxes.std) + torch.from_numpy(boxes.mean)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_targets_of_other_regions_keep_mean_and_deviation(project, index, make_index):
    boxes = project.targets.BoxTargets.of(index, mirror=False)
    other = make_index([([[0, 0, 20, 20]], [0], [[1, 0, 21, 20], [60, 60, 90, 90]])], 4)
    found = boxes.on(other).take(np.array([0, 1, 2]), np.zeros(3, bool))
    # one move of its own would be all of its mean; those of training are -1/15 and std, see above
    std = math.sqrt(0.025 / 3 - 1 / 225)
    np.testing.assert_allclose(found[:, 0], [1 / 15 / std, (1 / 15 - 1 / 20) / std, 0], atol=1e-5)
