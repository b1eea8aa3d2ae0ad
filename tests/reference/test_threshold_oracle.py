"""Boxes beyond 2,000 pixels, at a threshold and one pixel beside it, against exact fractions."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from detkit.evaluation.recall import ProposalRecall
from detkit.evaluation.voc import VOC
from detkit.regions.label import box_targets, class_overlaps, finetune_labels, svm_labels
from detkit.structures import Annotations, Boxes, Detections, Sample, nms

HALF, THREE_TENTHS, THREE_FIFTHS = LIMITS = [Fraction(1, 2), Fraction(3, 10), Fraction(3, 5)]
APART = 60_000
"""Pixels between pairs of one image, so that a box meets its own truth alone; 200 of them stay below 2**24."""


def pair(limit, rng, left):
    """A truth and a box whose IoU is ``limit``, with sides of 2,000 to 20,000 pixels.

    A box of the truth's width and the share ``limit`` of its height has this IoU, and so has a copy that is moved by
    (1 - limit) / (1 + limit) of its width: (w - d) / (w + d) = limit.
    """
    is_moved, move = rng.random() < 0.5, (1 - limit) / (1 + limit)
    unit = (move if is_moved else limit).denominator
    long, other = unit * int(rng.integers(2000 // unit + 1, 20_000 // unit)), int(rng.integers(2000, 20_000))
    if is_moved:
        shift = int(long * move)
        return [left, 0, left + long, other], [left + shift, 0, left + shift + long, other]
    return [left, 0, left + other, long], [left, 0, left + other, int(long * limit)]


def exact_iou(a, b):
    inter = max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))
    return Fraction(inter, (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter)


def images(limit):
    """(truths, boxes, exact IoU of each pair) of 14 images: 100 pairs at the limit, 100 with a box one pixel off."""
    rng = np.random.default_rng(limit.numerator)
    for _ in range(14):
        at = [pair(limit, rng, i * APART) for i in range(100)]
        beside = [pair(limit, rng, (100 + i) * APART) for i in range(100)]
        both = at + [(truth, [*box[:3], box[3] + 2 * (i % 2) - 1]) for i, (truth, box) in enumerate(beside)]
        truths, boxes = (Boxes.of(rows) for rows in zip(*both, strict=True))
        yield truths, boxes, [exact_iou(*rows) for rows in both]


def sides(limit, is_beyond, found):
    """Two lists over all pairs, whether each lies beyond the limit: exactly, and as ``found`` has it."""
    exact = [is_beyond(iou) for _, _, ious in images(limit) for iou in ious]
    return exact, [side for truths, boxes, _ in images(limit) for side in found(truths, boxes).tolist()]


def overlaps(truths, boxes):
    return class_overlaps(boxes, one_class(truths), 1), torch.zeros(len(boxes), 1)


def one_class(truths):
    return Annotations.of(truths, [0] * len(truths))


@pytest.mark.parametrize("limit", LIMITS, ids=str)
def test_the_pairs_lie_on_both_sides_of_the_limit_and_on_it(limit):
    found = [iou for _, _, ious in images(limit) for iou in ious]
    assert sum(iou == limit for iou in found) == 1400
    assert min(sum(iou < limit for iou in found), sum(iou > limit for iou in found)) > 300


def test_foreground_begins_at_exactly_one_half():
    exact, found = sides(HALF, lambda iou: iou >= HALF, lambda t, b: finetune_labels(*overlaps(t, b)) == 0)
    assert found == exact


def test_negatives_end_before_exactly_three_tenths():
    nobody = torch.full((200,), -1)
    exact, found = sides(
        THREE_TENTHS, lambda iou: iou >= THREE_TENTHS, lambda t, b: svm_labels(*overlaps(t, b), nobody)[:, 0] == 0
    )
    assert found == exact


def test_box_examples_begin_above_exactly_three_fifths():
    exact, found = sides(
        THREE_FIFTHS, lambda iou: iou > THREE_FIFTHS, lambda t, b: box_targets(b, one_class(t)) == torch.arange(200)
    )
    assert found == exact


def test_suppression_begins_above_exactly_three_tenths():
    def is_suppressed(truths, boxes):
        kept = nms(Boxes.cat([truths, boxes]), torch.cat([torch.ones(200), torch.zeros(200)]), 0.3)
        return ~torch.isin(torch.arange(200, 400), kept)

    exact, found = sides(THREE_TENTHS, lambda iou: iou > THREE_TENTHS, is_suppressed)
    assert found == exact


@pytest.mark.parametrize("limit", LIMITS, ids=str)
def test_evaluation_counts_what_reaches_the_limit(limit):
    threshold = (float(limit),)
    voc = VOC(class_names=("cat",), iou=threshold)
    recall = ProposalRecall(class_names=("cat",), thresholds=threshold)
    for i, (truths, boxes, _) in enumerate(images(limit)):
        sample = Sample(str(i), Path("a.jpg"), (20_001, 200 * APART), one_class(truths))
        # falling scores, so that hits keep the order of the pairs
        found = Detections.of(boxes, -torch.arange(200.0) - 200 * i, [0] * 200)
        voc.add(sample, found)
        recall.add(sample, found)
    exact = [iou >= limit for _, _, ious in images(limit) for iou in ious]
    assert voc.matches(*threshold)[0].hits.tolist() == exact
    assert recall.compute()["ProposalRecall"]["AR"] == np.mean(exact)
