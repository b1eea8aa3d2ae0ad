from pathlib import Path

import numpy as np
import pytest

from detkit.errors import DataError
from detkit.evaluation.bootstrap import class_aps
from detkit.evaluation.coco import COCO, NUMBERS
from detkit.structures import OTHER_CLASS, Annotations, Boxes, Detections, Sample

BIG = [0, 0, 100, 100]
SMALL = [200, 200, 220, 220]


def sample(boxes, labels, difficult=None, crowd=None, name="a"):
    return Sample(name, Path("a.jpg"), (300, 300), Annotations.of(Boxes.of(boxes), labels, difficult, crowd))


def found(boxes, scores, labels=None):
    return Detections.of(Boxes.of(boxes), scores, labels or [0] * len(boxes))


def evaluated(*pairs, class_names=("cat",)):
    coco = COCO(class_names=class_names)
    for truth, detections in pairs:
        coco.add(truth, detections)
    return coco.compute()["COCO"]


def test_a_perfect_detector_scores_one_wherever_there_is_truth():
    numbers = evaluated((sample([BIG, SMALL], [0, 0]), found([BIG, SMALL], [0.9, 0.8])))
    assert tuple(numbers) == NUMBERS
    expected = {name: pytest.approx(1.0) for name in NUMBERS} | {"APmedium": None, "ARmedium": None, "AR1": 0.5}
    assert numbers == expected


def test_ap_is_the_mean_over_ten_overlaps():
    # 77 of 100 columns: IoU .77 reaches .5, .55, ... .75, six of the ten.
    numbers = evaluated((sample([BIG], [0]), found([[0, 0, 77, 100]], [0.9])))
    assert (numbers["AP50"], numbers["AP75"], numbers["AP"]) == pytest.approx((1.0, 1.0, 0.6))


def test_a_worse_duplicate_is_wrong_and_a_better_wrong_box_halves_precision():
    assert evaluated((sample([BIG], [0]), found([BIG, BIG], [0.9, 0.8])))["AP50"] == pytest.approx(1.0)
    assert evaluated((sample([BIG], [0]), found([SMALL, BIG], [0.9, 0.8])))["AP50"] == pytest.approx(0.5)


def test_a_taken_truth_lets_a_detection_fall_to_the_next_best():
    # Unlike VOC: the second box overlaps the found truth most, and takes the free one that it still reaches.
    truths, boxes = [[0, 0, 100, 100], [0, 30, 100, 130]], [[0, 0, 100, 100], [0, 10, 100, 110]]
    assert evaluated((sample(truths, [0, 0]), found(boxes, [0.9, 0.8])))["AP50"] == pytest.approx(1.0)


def test_a_crowd_ignores_all_that_lie_in_it():
    inside = [[210, 210, 215, 215], [201, 201, 205, 206]]
    truth = sample([BIG, SMALL], [0, 0], crowd=[False, True])
    assert evaluated((truth, found([*inside, BIG], [0.9, 0.8, 0.7])))["AP"] == pytest.approx(1.0)


def test_a_difficult_object_ignores_one_detection_that_fits_it():
    truth = sample([BIG, SMALL], [0, 0], difficult=[False, True])
    assert evaluated((truth, found([SMALL, BIG], [0.9, 0.8])))["AP"] == pytest.approx(1.0)
    # A part of it is no match by IoU, where it would be for a crowd; nor is a second detection.
    assert evaluated((truth, found([[210, 210, 215, 215], BIG], [0.9, 0.8])))["AP"] == pytest.approx(0.5)
    assert evaluated((truth, found([SMALL, SMALL, BIG], [0.9, 0.85, 0.8])))["AP"] == pytest.approx(0.5)


def test_an_object_of_another_class_ignores_detections_of_every_class_that_fit_it():
    truth = sample([BIG, SMALL], [0, OTHER_CLASS])
    pair = truth, found([SMALL, SMALL, BIG], [0.9, 0.85, 0.8], [0, 1, 0])
    assert evaluated(pair, class_names=("cat", "dog"))["AP"] == pytest.approx(1.0)


def test_sizes_are_by_the_area_of_the_ground_truth_not_of_its_box():
    # A box of 100 x 100 pixels around an outline of 900: below 32 x 32, so small.
    outline = Annotations.of(Boxes.of([BIG]), [0], area=[900])
    numbers = evaluated((Sample("a", Path("a.jpg"), (300, 300), outline), found([BIG], [0.9])))
    assert (numbers["APsmall"], numbers["APlarge"]) == (pytest.approx(1.0), None)


def test_a_class_without_truth_is_left_out_of_the_mean():
    pair = sample([BIG], [0]), found([BIG, SMALL], [0.9, 0.8], [0, 1])
    assert evaluated(pair, class_names=("cat", "dog"))["AP"] == pytest.approx(1.0)


def test_no_detections_at_all_score_zero():
    assert evaluated((sample([BIG], [0]), found([], [])), (sample([], []), found([], [])))["AP"] == 0.0


def test_images_are_kept_apart_whatever_their_names():
    pairs = (sample([BIG], [0], name="x"), found([], [])), (sample([], [], name="x"), found([BIG], [0.9]))
    assert evaluated(*pairs)["AR100"] == 0.0


def test_of_equal_scores_the_image_with_the_lower_id_comes_first():
    right, wrong = found([BIG], [0.9]), found([SMALL], [0.9])
    truth, empty = sample([BIG], [0], name="9"), sample([], [], name="10")
    assert evaluated((empty, wrong), (truth, right))["AP50"] == pytest.approx(1.0)
    assert evaluated((truth, right), (empty, wrong))["AP50"] == pytest.approx(1.0)
    # As text "10" comes before "9".
    named = sample([], [], name="a")
    assert evaluated((truth, right), (empty, wrong), (named, found([], [])))["AP50"] == pytest.approx(0.5)


def test_reset_forgets_and_nothing_is_printed(capsys):
    coco = COCO(class_names=("cat",))
    coco.add(sample([BIG], [0]), found([], []))
    coco.reset()
    coco.add(sample([BIG], [0]), found([BIG], [0.9]))
    assert coco.compute()["COCO"]["AP"] == coco.compute()["COCO"]["AP"] == pytest.approx(1.0)
    assert capsys.readouterr().out == ""


def test_no_ground_truth_at_all_is_an_error():
    message = "COCO: no ground truth in 1 images that is neither difficult nor crowd; expected objects of cat"
    for flags in ({"crowd": [True]}, {"difficult": [True]}):
        with pytest.raises(DataError, match=message):
            evaluated((sample([BIG], [0], **flags), found([BIG], [0.9])))


def test_a_sample_without_annotations_is_refused():
    with pytest.raises(ValueError, match="image x has no annotations"):
        COCO(class_names=("cat",)).add(Sample("x", Path("x"), (5, 5)), found([], []))


def test_curves_give_pycocotools_ap():
    # images in another order than their ids, crowds, difficult objects, a class without truths, empty images
    rng = np.random.default_rng(0)
    coco = COCO(class_names=("cat", "dog", "cow"))
    for i in rng.permutation(20):
        corners = rng.uniform(0, 200, (rng.integers(0, 5), 2))
        boxes = np.hstack([corners, corners + rng.uniform(10, 120, corners.shape)])
        labels, flags = rng.integers(0, 2, len(boxes)), rng.random((2, len(boxes))) < 0.15
        truth = sample(boxes, labels, *flags, name=str(i))
        moved = np.vstack([boxes + rng.normal(0, 6, boxes.shape), boxes + rng.normal(0, 20, boxes.shape)])
        scores = rng.random(len(moved)).round(1)  # many ties
        coco.add(truth, found(moved, scores, [*labels, *rng.integers(0, 3, len(labels))]))
    curves = coco.curves()["COCO"]
    aps = np.mean([class_aps(own, curves.measure, np.ones((1, 20), np.int64))[:, 0] for own in curves.matches], 0)
    assert np.nanmean(aps) == pytest.approx(coco.compute()["COCO"]["AP"], abs=1e-9)
    assert np.isnan(aps).tolist() == [False, False, True]
    assert 0.1 < aps[0] != aps[1] > 0.1


def test_curves_tell_the_image_of_each_detection_as_it_was_added():
    coco = COCO(class_names=("cat",))
    coco.add(sample([BIG], [0], name="9"), found([BIG], [0.5]))  # comes last by its id
    coco.add(sample([BIG, SMALL], [0, 0], name="1"), found([SMALL, [0, 0, 30, 30]], [0.9, 0.8]))
    (matches,) = coco.curves()["COCO"].matches[0]
    assert matches.truths.tolist() == [1, 2]
    assert matches.images.tolist() == [1, 1, 0]
    assert matches.hits.tolist() == [True, False, True]
