"""Labels and batches of fine-tuning, SVMs and box regression against counting by hand."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from detkit.regions.fixed_fraction import FixedFraction
from detkit.regions.index import RegionIndex
from detkit.regions.label import box_targets, svm_labels
from detkit.structures import Annotations, Boxes, Proposals, Sample

CLASSES = 3


def shared_pixels(a, b):
    """Pixels that two boxes share, with inclusive corners and the "+1" of the released code."""
    sides = [min(a[i + 2], b[i + 2]) - 1 - max(a[i], b[i]) + 1 for i in range(2)]
    return max(sides[0], 0) * max(sides[1], 0)


def reach(box, truth, is_crowd):
    """IoU with a truth, or the share of the box inside a crowd."""
    inter = shared_pixels(box, truth)
    own, other = shared_pixels(box, box), shared_pixels(truth, truth)
    return inter / (own if is_crowd else own + other - inter)


def random_scene(rng):
    """Truths of an image with difficult and crowd ones among them, and proposals near to and far from them."""
    corner = rng.integers(0, 40, (5, 2))
    truths = np.hstack([corner, corner + rng.integers(8, 30, (5, 2))])
    near = truths[rng.integers(5, size=60)] + rng.integers(-6, 7, (60, 4))
    near = near[(near[:, 2] > near[:, 0]) & (near[:, 3] > near[:, 1])]
    flags = {"difficult": rng.random(5) < 0.3, "crowd": rng.random(5) < 0.2}
    return truths, rng.integers(CLASSES, size=5), flags, near


@pytest.fixture(params=["use", "ignore"])
def scenes(request):
    """An index of twelve images, and the truths of each as plain rows (box, class, is learnt from, is crowd)."""
    rng, samples, found, plain = np.random.default_rng(0), [], [], []
    for i in range(12):
        truths, labels, flags, near = random_scene(rng)
        annotations = Annotations.of(Boxes.of(truths), labels.tolist(), *(flags[n].tolist() for n in flags))
        samples.append(Sample(str(i), f"{i}.png", (100, 100), annotations))
        found.append(Proposals.unranked(Boxes.of(near), (100, 100)))
        ignored = flags["crowd"] | (flags["difficult"] & (request.param == "ignore"))
        plain.append(list(zip(truths.tolist(), labels.tolist(), (~ignored).tolist(), flags["crowd"].tolist())))
    return RegionIndex.build(samples, found, CLASSES, difficult=request.param), plain


def each_region(index, plain):
    """(row, box, truths of its image, class of a truth row or -1) of every region."""
    for image, truths in enumerate(plain):
        span = index.rows(image)
        for row in range(span.start, span.stop):
            yield row, index.boxes.tensor[row].tolist(), truths, int(index.truth_label[row])


def test_rows_are_the_truths_that_are_learnt_from_then_the_proposals(scenes):
    index, plain = scenes
    for image, truths in enumerate(plain):
        used = [box for box, _, is_used, _ in truths if is_used]
        assert index.boxes.tensor[index.rows(image)][: len(used)].tolist() == used
        assert (index.truth_label[index.rows(image)] >= 0).sum() == len(used)


def test_finetuning_labels_equal_a_search_over_all_truths(scenes):
    index, plain = scenes
    expected = []
    for _, box, truths, _ in each_region(index, plain):
        best = max(((reach(box, t, c), -k) for t, k, used, c in truths if used), default=(0, 0))
        label = -best[1] if best[0] >= 0.5 else CLASSES
        if label == CLASSES and any(reach(box, t, c) >= 0.5 for t, _, used, c in truths if not used):
            label = -1
        expected.append(label)
    assert index.label.tolist() == expected
    assert min(np.bincount(np.array(expected) + 1, minlength=5)) > 2


@pytest.mark.parametrize("ignore", ["per_class", "any_class"])
def test_svm_labels_equal_a_search_over_all_truths(scenes, ignore):
    index, plain = scenes
    expected = np.zeros((len(index), CLASSES), int)
    for row, box, truths, own in each_region(index, plain):
        for k in range(CLASSES):
            looked_at = [t for t in truths if t[1] == k or (ignore == "any_class" and own < 0)]
            if all(reach(box, t, c) < 0.3 for t, _, _, c in looked_at):
                expected[row, k] = -1
        if own >= 0:
            expected[row, own] = 1
    labels = []
    for image in range(index.num_images):
        own_labels = torch.from_numpy(index.truth_label[index.rows(image)])
        labels.append(svm_labels(*index.overlaps(image), own_labels, 0.3, ignore))
    assert np.concatenate(labels).tolist() == expected.tolist()


def test_box_targets_equal_a_search_over_all_truths(scenes):
    index, plain = scenes
    for image, truths in enumerate(plain):
        used = [box for box, _, is_used, _ in truths if is_used]
        found = box_targets(index.boxes[index.rows(image)], index.truths(image).used, 0.6).tolist()
        for target, box in zip(found, index.boxes.tensor[index.rows(image)].tolist(), strict=True):
            overlaps = [reach(box, t, False) for t in used]
            best = max(range(len(used)), key=lambda i: (overlaps[i], -i), default=-1)
            assert target == (best if used and overlaps[best] > 0.6 else -1)


def test_batches_are_32_and_96_and_uniform_over_all_regions_of_each_kind(scenes):
    index, _ = scenes
    rng, sampler = np.random.default_rng(1), FixedFraction()
    draws = [sampler.draw(index, rng) for _ in range(400)]
    assert all((index.label[rows] == CLASSES).sum() == 96 and (index.label[rows] >= 0).all() for rows in draws)
    counts = np.bincount(np.concatenate(draws), minlength=len(index))
    for rows in (index.foreground_rows, index.background_rows):
        # expected at least 8 draws a region, so that the statistic follows its law
        assert counts[rows].sum() / len(rows) > 8
        assert chisquare(counts[rows]).pvalue > 1e-3
    assert counts[index.label == -1].sum() == 0
