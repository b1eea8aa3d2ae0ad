import torch
from torch.testing import assert_close

from detkit.box_heads.examples import BoxExamples

SQUARE, FAR = [0, 0, 10, 10], [50, 50, 60, 60]


def test_examples_are_truths_and_regions_above_the_threshold_with_the_class_of_the_best_truth(make_index):
    # 10x7 has IoU .7 with the square of class 1 and 70/80 with the 10x8 of class 0; 10x6 exactly .6 with the square
    first = ([SQUARE, [0, 0, 10, 8]], [1, 0], [[0, 0, 10, 7], FAR])
    second = ([SQUARE], [1], [[0, 0, 10, 6], [0, 0, 10, 9]])
    examples = BoxExamples.collect(make_index([first, ([], [], [FAR]), second], 2), 0.6)
    assert examples.rows.tolist() == [0, 1, 2, 5, 7]
    assert examples.labels.tolist() == [1, 0, 0, 1, 1]
    # rows 0, 1 and 5 are truths: target 0
    assert not examples.targets[[0, 1, 3]].any()
    # 10x7 -> 10x8: centre moves .5 of 7, log(8/7); 10x9 -> 10x10: .5 of 9, log(10/9)
    expected = torch.tensor([[0, 0.5 / 7, 0, 8 / 7], [0, 0.5 / 9, 0, 10 / 9]], dtype=torch.float64)
    expected[:, 3].log_()
    assert_close(examples.targets[[2, 4]], expected)


def test_without_truths_there_are_no_examples(make_index):
    for images in ([], [([], [], [FAR])], [([], [], [])]):
        examples = BoxExamples.collect(make_index(images, 2), 0.6)
        assert len(examples) == 0 and examples.targets.shape == (0, 4)


def test_targets_are_those_of_the_coder(make_index):
    index = make_index([([SQUARE], [0], [[0, 0, 10, 9]])], 1)
    # 10x9 -> 10x10: the centre moves half a pixel, the height grows by one
    for coder, expected in (("pixels", [0, 0.5, 0, 1]), ("relative", [0, 0.5 / 9, 0, 1 / 9])):
        targets = BoxExamples.collect(index, 0.6, coder=coder).targets[1]
        assert_close(targets, torch.tensor(expected, dtype=torch.float64))
