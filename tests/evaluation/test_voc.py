import math
from pathlib import Path

import numpy as np
import pytest

from detkit.errors import ConfigError, DataError
from detkit.evaluation.curves import Matches, area_ap, grid_ap
from detkit.evaluation.voc import VOC
from detkit.structures import OTHER_CLASS, Annotations, Boxes, Detections, Sample

UNIT = [0, 0, 10, 10]


def sample(boxes, labels, difficult=None, crowd=None, name="a"):
    return Sample(name, Path("a.jpg"), (100, 100), Annotations.of(Boxes.of(boxes), labels, difficult, crowd))


def found(boxes, scores, labels=None):
    return Detections.of(Boxes.of(boxes), scores, labels or [0] * len(boxes))


def evaluated(pairs, class_names=("cat",), **settings):
    voc = VOC(class_names=class_names, **settings)
    for truth, detections in pairs:
        voc.add(truth, detections)
    return voc.compute()


def test_ap_of_the_worked_vector():
    # npos 3; TP FP TP (difficult, ignored) TP: precision 1, 2/3, 3/4 at recall 1/3, 2/3, 1.
    # Grid: 0, .1, .2, .3 see 1 and the other seven see 3/4; area: (1 + 3/4 + 3/4) / 3.
    truths = [[x, 0, x + 10, 10] for x in (0, 20, 40, 60)]
    boxes = [truths[0], [80, 80, 90, 90], truths[1], truths[3], truths[2]]
    detections = found(boxes, [0.9, 0.8, 0.7, 0.6, 0.5])
    metrics = evaluated([(sample(truths, [0] * 4, [False, False, False, True]), detections)])
    assert metrics["VOC07"]["mAP"] == pytest.approx((4 + 7 * 0.75) / 11, abs=1e-12) == pytest.approx(0.840909, abs=1e-6)
    assert metrics["VOC10"]["mAP"] == pytest.approx(2.5 / 3, abs=1e-12)
    assert metrics["VOC10"]["AP"] == {"cat": metrics["VOC10"]["mAP"]}


def test_detections_of_any_class_on_an_object_of_another_class_are_not_judged():
    # Without the object both would be wrong and come first: precision 1/2 for each class.
    other, cat, dog = UNIT, [20, 0, 30, 10], [40, 0, 50, 10]
    detections = found([other, other, cat, dog], [0.9, 0.8, 0.7, 0.6], [0, 1, 0, 1])
    pair = sample([other, cat, dog], [OTHER_CLASS, 0, 1]), detections
    assert evaluated([pair], ("cat", "dog"))["VOC10"]["AP"] == {"cat": 1.0, "dog": 1.0}


def test_an_object_found_twice_makes_the_second_wrong():
    metrics = evaluated([(sample([UNIT], [0]), found([UNIT, UNIT], [0.5, 0.9]))])
    assert metrics["VOC10"]["mAP"] == 1.0
    two = evaluated(
        [(sample([UNIT, [50, 50, 60, 60]], [0, 0]), found([UNIT, UNIT, [50, 50, 60, 60]], [0.9, 0.8, 0.7]))]
    )
    assert two["VOC10"]["mAP"] == pytest.approx((1 + 2 / 3) / 2)


def test_a_detection_looks_only_at_the_truth_it_overlaps_most():
    # The second box overlaps the found truth by 10/11 and the free one by 6/14: it is wrong, not moved on.
    truths = [[0, 0, 10, 10], [0, 5, 10, 15]]
    detections = found([[0, 0, 10, 10], [0, 0, 10, 11]], [0.9, 0.8])
    assert evaluated([(sample(truths, [0, 0]), detections)], iou=(0.3,))["VOC10@0.3"]["mAP"] == 0.5


def test_the_best_overlap_may_be_with_a_difficult_object():
    truths = [[0, 0, 10, 10], [0, 0, 10, 12]]
    metrics = evaluated([(sample(truths, [0, 0], [False, True]), found([[0, 0, 10, 12]], [0.9]))])
    assert metrics["VOC10"]["mAP"] == 0.0


def test_difficult_objects_and_crowds_can_be_hit_often_without_harm():
    truth = sample([UNIT, [50, 50, 60, 60], [70, 70, 90, 90]], [0, 0, 0], [False, True, False], [False, False, True])
    boxes = [[50, 50, 60, 60], [50, 50, 60, 60], [70, 70, 90, 90], UNIT]
    assert evaluated([(truth, found(boxes, [0.9, 0.8, 0.7, 0.6]))])["VOC07"]["mAP"] == pytest.approx(1.0)


@pytest.mark.parametrize(("strict", "expected"), [(False, 1.0), (True, 0.0)])
def test_equality_with_the_threshold_counts_unless_strict(strict, expected):
    half = sample([[0, 0, 10, 10]], [0]), found([[0, 0, 10, 5]], [0.9])
    assert evaluated([half], strict_iou=strict)["VOC10"]["mAP"] == expected


def test_an_iou_of_three_tenths_reaches_a_threshold_of_three_tenths():
    # In single precision 6/20 is above 0.3 and 0.3 strict would count it.
    pair = sample([[0, 0, 13, 1]], [0]), found([[7, 0, 20, 1]], [0.9])
    assert evaluated([pair], iou=(0.3,))["VOC10@0.3"]["mAP"] == 1.0
    assert evaluated([pair], iou=(0.3,), strict_iou=True)["VOC10@0.3"]["mAP"] == 0.0


def test_several_thresholds_are_named_and_fall():
    pair = sample([[0, 0, 10, 10]], [0]), found([[0, 0, 10, 6]], [0.9])
    metrics = evaluated([pair], iou=(0.5, 0.7))
    assert list(metrics) == ["VOC07", "VOC10", "VOC07@0.7", "VOC10@0.7"]
    assert (metrics["VOC10"]["mAP"], metrics["VOC10@0.7"]["mAP"]) == (1.0, 0.0)


def test_a_class_without_truth_has_no_ap_and_no_share_in_the_mean():
    pair = sample([UNIT, [50, 50, 60, 60]], [0, 1], [False, True]), found([UNIT, UNIT], [0.9, 0.8], [0, 1])
    metrics = evaluated([pair], class_names=("cat", "dog", "cow"))
    assert metrics["VOC07"] == {"mAP": pytest.approx(1.0), "AP": {"cat": pytest.approx(1.0), "dog": None, "cow": None}}


def test_a_class_without_detections_has_ap_zero():
    assert evaluated([(sample([UNIT], [0]), found([], []))]) == {
        name: {"mAP": 0.0, "AP": {"cat": 0.0}} for name in ("VOC07", "VOC10")
    }


def test_detections_in_an_image_without_objects_are_wrong():
    empty = sample([], [], name="b"), found([UNIT], [0.95])
    assert evaluated([empty, (sample([UNIT], [0]), found([UNIT], [0.9]))])["VOC10"]["mAP"] == 0.5


def test_of_equal_scores_the_image_added_first_comes_first():
    right, wrong = (sample([UNIT], [0]), found([UNIT], [0.9])), (sample([], []), found([UNIT], [0.9]))
    assert evaluated([right, wrong])["VOC10"]["mAP"] == 1.0
    assert evaluated([wrong, right])["VOC10"]["mAP"] == 0.5


def test_labels_are_never_mixed():
    pair = sample([UNIT, UNIT], [0, 1]), found([UNIT, UNIT], [0.9, 0.9], [1, 1])
    assert evaluated([pair], class_names=("cat", "dog"))["VOC10"]["AP"] == {"cat": 0.0, "dog": 1.0}


def test_recall_of_three_tenths_is_on_the_exact_grid_only():
    # 3 of 10 found at precision 1: levels 0, .1, .2 and, on the exact grid, .3.
    truths = [[x, 0, x + 5, 5] for x in range(0, 100, 10)]
    pair = sample(truths, [0] * 10), found(truths[:3], [0.9, 0.8, 0.7])
    assert evaluated([pair])["VOC07"]["mAP"] == pytest.approx(3 / 11)
    assert evaluated([pair], grid="exact")["VOC07"]["mAP"] == pytest.approx(4 / 11)


def test_reset_forgets_every_image():
    voc = VOC(class_names=("cat",))
    voc.add(sample([UNIT], [0]), found([], []))
    voc.reset()
    voc.add(sample([UNIT], [0]), found([UNIT], [0.9]))
    assert voc.compute()["VOC10"]["mAP"] == 1.0


def test_no_ground_truth_at_all_is_an_error():
    message = r"no ground truth in 1 images that is not difficult; expected objects of cat, dog"
    with pytest.raises(DataError, match=message):
        evaluated([(sample([UNIT], [0], [True]), found([], []))], class_names=("cat", "dog"))
    with pytest.raises(DataError, match="no ground truth in 0 images"):
        evaluated([])


def test_a_sample_without_annotations_is_refused():
    with pytest.raises(ValueError, match="image x has no annotations"):
        VOC(class_names=("cat",)).add(Sample("x", Path("x"), (5, 5)), found([], []))


@pytest.mark.parametrize("iou", [(), (0.5, 0.5)])
def test_thresholds_must_be_given_and_differ(iou):
    with pytest.raises(ConfigError, match=r"EVALUATION.VOC.IOU: \["):
        VOC(class_names=("cat",), iou=iou)


def test_a_zero_width_detection_hits_nothing():
    assert evaluated([(sample([UNIT], [0]), found([[3, 3, 3, 9]], [0.9]))])["VOC07"]["mAP"] == 0.0


def naive_ap(pairs, iou):
    """Area AP by walking one list of detections, each looked up on its own."""
    flat = sorted(
        ((-float(s), i, j) for i, (_, d) in enumerate(pairs) for j, s in enumerate(d.scores)), key=lambda t: t[0]
    )
    taken, hits, npos = set(), [], sum(int((~t.annotations.difficult).sum()) for t, _ in pairs)
    for _, i, j in flat:
        truth, box = pairs[i][0].annotations, pairs[i][1].boxes.tensor[j].double().tolist()
        overlaps = [pair_iou(box, b.double().tolist()) for b in truth.boxes]
        best = max(range(len(overlaps)), key=overlaps.__getitem__, default=None)
        if best is None or overlaps[best] < iou:
            hits.append(0)
        elif not truth.difficult[best]:
            hits.append(int((i, best) not in taken))
            taken.add((i, best))
    points = [(sum(hits[: n + 1]) / npos, sum(hits[: n + 1]) / (n + 1)) for n in range(len(hits))]
    levels = sorted({r for r, _ in points if r > 0})
    steps = np.diff([0.0, *levels])
    return math.fsum(step * max(p for r, p in points if r >= level) for step, level in zip(steps, levels))


def pair_iou(a, b):
    inter = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    return inter / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter)


@pytest.mark.parametrize("seed", range(8))
def test_random_images_agree_with_a_walk_over_single_detections(seed):
    rng = np.random.default_rng(seed)

    def some(n):
        corner = rng.integers(0, 12, (n, 2))
        return np.concatenate([corner, corner + rng.integers(2, 10, (n, 2))], 1)

    pairs = []
    for i in range(6):
        truths, detections = some(int(rng.integers(1, 4))), some(int(rng.integers(0, 9)))
        flags = rng.random(len(truths)) < 0.2
        scores = rng.integers(0, 5, len(detections)).tolist()
        pairs.append((sample(truths, [0] * len(truths), flags.tolist(), name=str(i)), found(detections, scores)))
    assert evaluated(pairs)["VOC10"]["mAP"] == pytest.approx(naive_ap(pairs, 0.5), abs=1e-12)


def test_ap_of_an_empty_curve_is_zero():
    nothing = np.zeros(0)
    assert grid_ap(nothing, nothing, np.arange(11) / 10) == area_ap(nothing, nothing) == 0.0


def test_verdicts_are_those_of_each_row_as_it_was_added():
    voc = VOC(class_names=("cat",))
    voc.add(sample([], []), found([UNIT], [0.9]))
    voc.add(
        sample([UNIT, [50, 50, 60, 60]], [0, 0], [False, True]), found([UNIT, [50, 50, 60, 60], UNIT], [0.5, 1, 0.9])
    )
    voc.add(sample([UNIT], [0]), found([], []))
    assert [own.tolist() for own in voc.verdicts(0.5)] == [["wrong"], ["wrong", "ignored", "right"], []]


@pytest.mark.parametrize(
    ("scores", "hits", "truths", "best"),
    [
        ([0.9, 0.8, 0.7], [True, False, True], 2, 0.7),  # F1 2/3, 1/2, 4/5
        ([0.9, 0.8, 0.7], [True, False, False], 1, 0.9),
        ([0.9, 0.9, 0.7], [True, False, False], 1, 0.9),  # both of one score: F1 2/3
        ([0.9, 0.8, 0.8], [False, True, False], 1, 0.8),
        ([0.9], [False], 1, math.inf),
        ([], [], 0, math.inf),
    ],
)
def test_the_threshold_of_best_f1(scores, hits, truths, best):
    assert Matches.of(np.array(scores), np.array(hits, bool), truths).best_f1_threshold() == best
