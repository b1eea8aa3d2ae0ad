import random
from pathlib import Path

import numpy as np
import pytest
import torch

from detkit.errors import ConfigError, DataError
from detkit.evaluation.recall import ProposalRecall
from detkit.structures import Annotations, Boxes, Detections, Sample

TRUTH = [0, 0, 10, 10]
HALF = [0, 0, 10, 5]  # IoU 0.5 with TRUTH
MOST = [0, 0, 10, 8]  # IoU 0.8


def sample(boxes, labels, image_id="a", **flags):
    return Sample(image_id, Path("a.jpg"), (100, 100), Annotations.of(Boxes.of(boxes), labels, **flags))


def proposals(rows, objectness=None):
    scores = torch.zeros(len(rows)) if objectness is None else objectness
    return Detections.of(Boxes.of(rows), scores, [0] * len(rows))


def judged(images, **options):
    recall = ProposalRecall(class_names=("cat", "dog"), **options)
    for one, found in images:
        recall.add(one, found)
    return recall.compute()["ProposalRecall"]


def test_recall_counts_truths_by_their_best_iou():
    # best IoU 0.8 and 0: half of two truths up to 0.8; 0.5 ... 0.8 are 7 of the 10 thresholds
    out = judged([(sample([TRUTH, [50, 50, 60, 60]], [0, 1]), proposals([HALF, MOST]))])
    assert out["recall"] == {
        f"{t:g}": (0.5 if t < 0.81 else 0.0) for t in (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
    }
    assert out["AR"] == pytest.approx(0.5 * 7 / 10)


def test_abo_is_the_mean_best_overlap_of_a_class_and_mabo_the_mean_of_classes():
    images = [
        (sample([TRUTH, TRUTH], [0, 1], "a"), proposals([HALF])),
        (sample([TRUTH], [0], "b"), proposals([MOST])),
    ]
    out = judged(images)
    assert out["ABO"] == {"cat": pytest.approx(0.65), "dog": pytest.approx(0.5)}
    assert out["MABO"] == pytest.approx(0.575)
    assert out["num_truths"] == 3 and out["boxes_per_image"] == 1


def test_class_without_truth_is_none_and_left_out_of_mabo():
    out = judged([(sample([TRUTH], [1]), proposals([HALF]))])
    assert out["ABO"] == {"cat": None, "dog": pytest.approx(0.5)}
    assert out["MABO"] == pytest.approx(0.5)


def test_equality_counts_unless_strict():
    images = [(sample([TRUTH], [0]), proposals([HALF, MOST]))]
    assert judged(images, thresholds=(0.8,))["recall"] == {"0.8": 1.0}
    assert judged(images, thresholds=(0.8,), strict=True)["recall"] == {"0.8": 0.0}


def test_counts_take_the_best_objectness_first():
    images = [(sample([TRUTH], [0]), proposals([MOST, HALF, [50, 50, 60, 60]], [0.1, 0.5, 0.9]))]
    out = judged(images, counts=(1, 2, 3, 100), thresholds=(0.5,))["by_count"]
    assert [out[n]["MABO"] for n in ("1", "2", "3", "100")] == pytest.approx([0, 0.5, 0.8, 0.8])
    assert [out[n]["recall"]["0.5"] for n in ("1", "2", "3", "100")] == [0, 1, 1, 1]


def test_equal_objectness_is_drawn_and_not_taken_from_the_order():
    # The only good proposal stands first in each of 200 images: one of 4, drawn, finds it in about a quarter.
    rows = [TRUTH, *[[50, 50, 60 + i, 60] for i in range(3)]]
    images = [(sample([TRUTH], [0], f"{i}"), proposals(rows)) for i in range(200)]
    share = judged(images, counts=(1,), thresholds=(0.5,))["by_count"]["1"]["AR"]
    assert 0.15 < share < 0.35
    shuffled = random.Random(0).sample(images, len(images))
    assert judged(shuffled, counts=(1,), thresholds=(0.5,))["by_count"]["1"]["AR"] == share
    assert judged(images, counts=(1,), thresholds=(0.5,), seed=1)["by_count"]["1"]["AR"] != share


def test_difficult_objects_and_crowds_are_left_out():
    truths = sample([TRUTH] * 3, [0, 0, 0], difficult=[True, False, False], crowd=[False, True, False])
    assert judged([(truths, proposals([TRUTH]))])["num_truths"] == 1


@pytest.mark.parametrize("rows", [[], [HALF]])
def test_images_without_truths_count_for_the_boxes_only(rows):
    out = judged([(sample([TRUTH], [0], "a"), proposals([])), (sample([], [], "b"), proposals(rows))])
    assert out["recall"]["0.5"] == 0 and out["num_truths"] == 1
    assert out["boxes_per_image"] == len(rows) / 2


def test_agrees_with_a_plain_loop_on_random_boxes():
    rng = np.random.default_rng(0)
    corner = rng.random((60, 2)) * 50
    boxes = np.concatenate([corner, corner + 5 + rng.random((60, 2)) * 40], 1)

    def overlap(a, b):
        w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
        inter = max(w, 0) * max(h, 0)
        return inter / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter)

    best = [max(overlap(t, p) for p in boxes[10:]) for t in boxes[:10]]
    out = judged([(sample(boxes[:10], [0] * 10), proposals(boxes[10:]))])
    assert out["MABO"] == pytest.approx(np.mean(best), abs=1e-6)
    assert out["recall"]["0.6"] == pytest.approx(np.mean([b >= 0.6 for b in best]))


def test_reset_forgets_every_image():
    recall = ProposalRecall(class_names=("cat",))
    recall.add(sample([TRUTH], [0]), proposals([]))
    recall.reset()
    recall.add(sample([TRUTH], [0]), proposals([TRUTH]))
    assert recall.compute()["ProposalRecall"]["AR"] == 1


def test_no_ground_truth_at_all_is_an_error():
    with pytest.raises(DataError, match="ProposalRecall: no ground truth in 1 images"):
        judged([(sample([], []), proposals([HALF]))])


def test_sample_without_annotations_is_refused():
    with pytest.raises(ValueError, match="image a has no annotations"):
        ProposalRecall(class_names=("cat",)).add(Sample("a", Path("a.jpg"), (10, 10)), proposals([]))


def test_no_threshold_is_refused():
    with pytest.raises(ConfigError, match=r"ProposalRecall\.THRESHOLDS: \[\] is not allowed"):
        ProposalRecall(class_names=("cat",), thresholds=())
