import pytest
import torch

from detkit.regions.label import Truths, box_targets, class_overlaps, finetune_labels, svm_labels
from detkit.structures import OTHER_CLASS, Annotations, Boxes

TALL = [0, 0, 10, 10]


def rows(*heights):
    """Boxes whose IoU with TALL is height / 10."""
    return Boxes.of([[0, 0, 10, h] for h in heights])


def overlaps(*values):
    return torch.tensor(values, dtype=torch.float64)


def test_crowds_are_never_used_and_difficult_objects_are_unless_ignored():
    flags = {"difficult": [False, True, False], "crowd": [False, False, True]}
    annotations = Annotations.of(Boxes.of([TALL] * 3), [0, 1, 2], **flags)
    assert Truths.of(annotations, "use").used.labels.tolist() == [0, 1]
    assert Truths.of(annotations, "use").ignored.labels.tolist() == [2]
    assert Truths.of(annotations, "ignore").used.labels.tolist() == [0]
    assert Truths.of(annotations, "ignore").ignored.labels.tolist() == [1, 2]


def test_an_object_of_another_class_is_never_used_and_forbids_negatives_of_every_class():
    truths = Truths.of(Annotations.of(Boxes.of([TALL, [50, 50, 60, 60]]), [OTHER_CLASS, 1]), "use")
    assert (truths.used.labels.tolist(), truths.ignored.labels.tolist()) == ([1], [OTHER_CLASS])
    # half of the object, a quarter of it, and a region elsewhere
    found = Boxes.of([[0, 0, 10, 5], [0, 0, 5, 5], [80, 80, 90, 90]])
    ignored = class_overlaps(found, truths.ignored, 2)
    torch.testing.assert_close(ignored, overlaps([0.5, 0.5], [0.25, 0.25], [0, 0]))
    assert finetune_labels(torch.zeros(3, 2), ignored).tolist() == [-1, 2, 2]
    assert svm_labels(torch.zeros(3, 2), ignored, torch.full((3,), -1)).tolist() == [[0, 0], [-1, -1], [-1, -1]]


def test_no_annotations_count_as_no_objects():
    truths = Truths.of(None, "use")
    assert len(truths.used) == len(truths.ignored) == 0


def test_class_overlaps_take_the_best_truth_of_each_class():
    truths = Annotations.of(Boxes.of([TALL, [0, 0, 10, 5], [50, 50, 60, 60]]), [1, 1, 0])
    # against 10x4: 40/100 of the first, 40/50 of the second, nothing of the third; class 2 has no truth
    torch.testing.assert_close(class_overlaps(rows(4), truths, 3), overlaps([0, 0.8, 0]))


def test_class_overlaps_without_boxes_or_truths():
    one, none = Annotations.of(Boxes.of([TALL]), [0]), Annotations.of(Boxes.of([]), [])
    assert class_overlaps(Boxes.of([]), one, 3).shape == (0, 3)
    assert class_overlaps(rows(5), none, 3).tolist() == [[0, 0, 0]]


def test_overlap_with_a_crowd_is_the_share_of_the_region_inside_it():
    crowd = Annotations.of(Boxes.of([[0, 0, 100, 100]]), [0], crowd=[True])
    # half of the first box lies in the crowd, all of the second
    assert class_overlaps(Boxes.of([[-10, 0, 10, 10], TALL]), crowd, 1).tolist() == [[0.5], [1]]


def test_finetune_labels_from_half_an_overlap_and_ties_go_to_the_lower_class():
    given = overlaps([0.5, 0, 0], [0.49, 0.2, 0], [0.6, 0.6, 0.1], [0.1, 0.2, 0.9])
    assert finetune_labels(given, torch.zeros(4, 3)).tolist() == [0, 3, 0, 2]


def test_background_near_an_ignored_truth_is_left_out_and_foreground_is_not():
    given, ignored = overlaps([0.1], [0.1], [0.7]), overlaps([0.5], [0.4], [0.9])
    assert finetune_labels(given, ignored).tolist() == [-1, 1, 0]


def test_finetune_labels_of_no_regions():
    assert finetune_labels(torch.zeros(0, 2), torch.zeros(0, 2)).shape == (0,)


def test_svm_negatives_overlap_strictly_less_than_the_threshold():
    # IoU with TALL of exactly 0.3 and of 0.29
    found = class_overlaps(rows(3, 2.9), Annotations.of(Boxes.of([TALL]), [0]), 1)
    proposals = torch.full((2,), -1)
    assert svm_labels(found, torch.zeros(2, 1), proposals).tolist() == [[0], [-1]]


@pytest.mark.parametrize(("limit", "expected"), [(0.0, [-1, 0, 0]), (0.02, [-1, -1, 0])])
def test_with_a_limit_of_zero_a_negative_overlaps_nothing_at_all(limit, expected):
    # beside TALL, which shares an edge but no pixel; 1 of 100 pixels; 3 of 100
    boxes = Boxes.of([[10, 0, 20, 10], [0, 0, 1, 1], [0, 0, 3, 1]])
    found = class_overlaps(boxes, Annotations.of(Boxes.of([TALL]), [0]), 1)
    assert svm_labels(found, torch.zeros(3, 1), torch.full((3,), -1), limit)[:, 0].tolist() == expected


def test_svm_labels_are_per_class():
    # a cat proposal (class 0) is set aside for cats and a negative for dogs; a dog truth is a negative for cats
    found = overlaps([0.8, 0.0], [0.1, 1.0])
    labels = svm_labels(found, torch.zeros(2, 2), torch.tensor([-1, 1]))
    assert labels.tolist() == [[0, -1], [-1, 1]] and labels.dtype == torch.int8


def test_with_any_class_a_region_near_an_object_is_nobodys_negative_but_truths_are():
    found = overlaps([0.8, 0.0], [0.1, 1.0], [0.1, 0.2])
    labels = svm_labels(found, torch.zeros(3, 2), torch.tensor([-1, 1, -1]), ignore="any_class")
    assert labels.tolist() == [[0, 0], [-1, 1], [-1, -1]]


def test_an_ignored_truth_forbids_negatives_of_its_class_alone():
    labels = svm_labels(torch.zeros(1, 2), overlaps([0.3, 0.0]), torch.tensor([-1]))
    assert labels.tolist() == [[0, -1]]


def test_a_truth_is_a_positive_even_inside_an_ignored_one():
    assert svm_labels(overlaps([1.0]), overlaps([1.0]), torch.tensor([0])).tolist() == [[1]]


@pytest.mark.parametrize("ignore", ["per_class", "any_class"])
def test_svm_labels_of_no_regions(ignore):
    assert svm_labels(torch.zeros(0, 2), torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64), 0.3, ignore).shape == (
        0,
        2,
    )


def test_box_targets_exceed_the_threshold_strictly_and_take_the_best_truth_of_any_class():
    truths = Annotations.of(Boxes.of([TALL, [0, 0, 10, 7]]), [2, 0])
    # 10x6: .6 of the first and 6/7 of the second; 10x9: .9 and 7/9; 10x4: .4 and 4/7
    assert box_targets(rows(6, 9, 4), truths).tolist() == [1, 0, -1]
    assert box_targets(rows(6), Annotations.of(Boxes.of([TALL]), [0])).tolist() == [-1]


def test_box_targets_without_boxes_or_truths():
    assert box_targets(rows(5), Annotations.of(Boxes.of([]), [])).tolist() == [-1]
    assert box_targets(Boxes.of([]), Annotations.of(Boxes.of([TALL]), [0])).shape == (0,)


def test_finetune_labels_have_thresholds_of_their_own():
    given = overlaps([0.05, 0], [0.1, 0], [0.39, 0], [0.4, 0], [0.59, 0.2], [0.6, 0])
    none = torch.zeros(6, 2)
    # by hand: [.1, .4) is background, from .6 on a class, the rest neither
    assert finetune_labels(given, none, 0.6, 0.1, 0.4).tolist() == [-1, 2, 2, -1, -1, 0]
    assert finetune_labels(given, none, 0.6).tolist() == [2, 2, 2, 2, 2, 0]
    assert finetune_labels(given, none, 0.4).tolist() == [2, 2, 2, 0, 0, 0]
    assert torch.equal(finetune_labels(given, none), finetune_labels(given, none, 0.5, 0.0, 0.5))


def test_background_ends_where_an_ignored_truth_is_reached():
    given, ignored = overlaps([0.2], [0.2]), overlaps([0.4], [0.39])
    assert finetune_labels(given, ignored, 0.6, 0.1, 0.4).tolist() == [-1, 1]


def test_svm_positives_by_iou_are_those_of_finetuning_and_truths():
    # a cat's truth, which a dog overlaps by .6 and as much as itself; proposals: cat of .5, cat of .49, both of .7
    # (a tie goes to the cat), a dog of .8 with a cat of .4
    given = overlaps([1, 0.6], [1, 1], [0.5, 0], [0.49, 0], [0.7, 0.7], [0.4, 0.8])
    truth_labels = torch.tensor([0, 1, -1, -1, -1, -1])
    labels = svm_labels(given, torch.zeros(6, 2), truth_labels, 0.3, positive_iou=0.5)
    assert labels.tolist() == [[1, 0], [0, 1], [1, -1], [0, -1], [1, 0], [0, 1]]
    alone = svm_labels(given, torch.zeros(6, 2), truth_labels, 0.3)
    assert alone.tolist() == [[1, 0], [0, 1], [0, -1], [0, -1], [0, 0], [0, 0]]


def test_with_equal_thresholds_every_region_is_a_positive_or_a_negative_of_a_lone_class():
    found = class_overlaps(rows(4.9, 5, 10, 0.1), Annotations.of(Boxes.of([TALL]), [0]), 1)
    labels = svm_labels(found, torch.zeros(4, 1), torch.full((4,), -1), 0.5, positive_iou=0.5)
    assert labels[:, 0].tolist() == [-1, 1, 1, -1]
