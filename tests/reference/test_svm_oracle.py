"""The SVMs against independent second methods."""

import numpy as np
import pytest
from sklearn.svm import LinearSVC

from detkit.classifiers.hinge import HingeLoss, HingeSolver
from detkit.classifiers.linear_svm import LinearSVM
from detkit.classifiers.mining import mine

LOSS = HingeLoss(c=1e-3, positive_weight=2.0, bias_scale=10.0)


def iou(a, b):
    """IoU of two boxes in plain Python."""
    width, height = (max(0, min(a[i + 2], b[i + 2]) - max(a[i], b[i])) for i in range(2))
    area = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    return width * height / (sum(area) - width * height)


def dual_ascent(examples, num_positives, sweeps):
    """Exact line search on one dual variable after the other; gives the primal and the dual objective."""
    rows = np.hstack([examples, np.full((len(examples), 1), LOSS.bias_scale)])
    sign = np.where(np.arange(len(rows)) < num_positives, 1.0, -1.0)
    bound = np.where(sign > 0, LOSS.c * LOSS.positive_weight, LOSS.c)
    alpha, w = np.zeros(len(rows)), np.zeros(rows.shape[1])
    for _ in range(sweeps):
        for i, row in enumerate(rows):
            new = np.clip(alpha[i] - (sign[i] * (row @ w) - 1) / (row @ row), 0, bound[i])
            w += (new - alpha[i]) * sign[i] * row
            alpha[i] = new
    primal = LOSS.objective(w[:-1], w[-1] * LOSS.bias_scale, examples, num_positives)
    return primal, alpha.sum() - w @ w / 2


def test_the_objective_reaches_that_of_an_own_dual_solver():
    examples = np.random.default_rng(0).normal(size=(60, 5)) * 9
    examples[:15] += 3
    primal, dual = dual_ascent(examples, 15, 200)
    assert primal - dual < 1e-9 * primal
    assert HingeSolver(LOSS, tol=1e-8)(examples, 15)[2] == pytest.approx(primal, rel=1e-8)


def test_the_tolerance_bounds_the_excess_over_the_optimum_at_the_papers_norm():
    rng = np.random.default_rng(1)
    examples = np.maximum(rng.normal(size=(1500, 64)) + 0.3, 0)
    examples[:100, :8] += 0.5
    examples *= 20 / np.linalg.norm(examples, axis=1).mean()
    tight, fine, default = (HingeSolver(LOSS, tol=tol, max_iter=10**5)(examples, 100)[2] for tol in (1e-9, 1e-5, 1e-4))
    assert tight <= fine <= tight * (1 + 1e-6)
    assert tight <= default <= tight * (1 + 1e-5)


@pytest.fixture
def scene(make_index, array_source):
    """Five images of three classes with noisy features and many boxes near and far from the truths."""

    def make(seed):
        rng, images = np.random.default_rng(seed), []
        for i in range(5):
            corner = rng.integers(0, 60, size=(2 + i % 2, 2))
            truths = np.hstack([corner, corner + rng.integers(10, 40, size=corner.shape)])
            corner = rng.integers(0, 70, size=(40, 2))
            near = np.clip(truths[rng.integers(len(truths), size=40)] + rng.integers(-6, 7, size=(40, 4)), 0, 100)
            near = near[(near[:, 2] > near[:, 0]) & (near[:, 3] > near[:, 1])]
            found = np.vstack([near, np.hstack([corner, corner + rng.integers(5, 30, size=corner.shape)])])
            images.append((truths, rng.integers(3, size=len(truths)).tolist(), found))
        index = make_index(images, 3)
        features = rng.random((len(index), 12))
        features[np.arange(len(index)), np.where(index.label < 3, index.label, 3)] += 0.6
        return array_source(index, features)

    return make


def negatives_of(index, image, k):
    """Rows of one image that overlap every truth of class k by less than 0.3."""
    own = index.rows(image)
    boxes, truths = index.boxes.tensor.tolist(), index.truths(image).used
    of_class = [b for b, label in zip(truths.boxes.tensor.tolist(), truths.labels.tolist()) if label == k]
    return [row for row in range(own.start, own.stop) if all(iou(boxes[row], t) < 0.3 for t in of_class)]


def train(features, positives, negatives, tol=1e-10):
    """Weights and bias of one class from rows."""
    svm = LinearSVC(
        C=1e-3,
        loss="hinge",
        dual=True,
        intercept_scaling=10,
        class_weight={1: 2, -1: 1},
        tol=tol,
        max_iter=10**6,
        random_state=0,
    )
    labels = [1] * len(positives) + [-1] * len(negatives)
    svm.fit(features[positives + negatives], labels)
    return svm.coef_[0], svm.intercept_[0]


def replay(index, features, k, retrain_after):
    """Mining as the paper's code orders it, written out row by row: (weights, bias, cached rows, trainings)."""
    positives = np.flatnonzero(index.truth_label == k).tolist()
    cache, added, trainings, model = [], 0, 0, None
    for image in range(index.num_images):
        for row in negatives_of(index, image, k):
            if model is None or (features[row] @ model[0] + model[1] > -1.0001 and row not in cache):
                cache.append(row)
                added += 1
        if image == 0 or image == index.num_images - 1 or added > retrain_after:
            model, added, trainings = train(features, positives, cache), 0, trainings + 1
            cache = [row for row in cache if features[row] @ model[0] + model[1] >= -1.2]
    return *model, cache, trainings


@pytest.fixture
def miners(monkeypatch):
    """The miners of the last fit, a class each."""
    kept = []

    def mine_and_keep(source, minings, **kwargs):
        kept[:] = minings[0].miners
        mine(source, minings, **kwargs)

    monkeypatch.setattr("detkit.classifiers.svm_training.mine", mine_and_keep)
    return kept


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_mining_is_the_same_as_a_replay_row_by_row(scene, miners, seed):
    source = scene(seed)
    svm = LinearSVM(num_classes=3, feature_dim=12, tol=1e-10, max_iter=10**6, retrain_after=15)
    svm.fit(source, np.random.default_rng(0))
    features = source.take(np.arange(len(source.index))).double().numpy() * float(svm.scale_)
    for k in range(3):
        weight, bias, cache, trainings = replay(source.index, features, k, 15)
        np.testing.assert_allclose(svm.weight_[k], weight, atol=1e-6)
        assert float(svm.bias_[k]) == pytest.approx(bias, abs=1e-5)
        assert svm.report()["trainings"][k] == trainings > 2
        assert miners[k].rows.tolist() == cache
        assert svm.report()["cached_negatives"][k] == len(cache)


def mined(source, passes):
    """After some passes of mining, for each class: its objective on all negatives over the least, margins of these."""
    index, svm = source.index, LinearSVM(num_classes=3, feature_dim=12, tol=1e-10, max_iter=10**6, passes=passes)
    svm.fit(source, np.random.default_rng(0))
    features = source.take(np.arange(len(index))).double().numpy() * float(svm.scale_)
    for k in range(3):
        positives = np.flatnonzero(index.truth_label == k).tolist()
        negatives = [row for image in range(5) for row in negatives_of(index, image, k)]
        examples, weight, bias = features[positives + negatives], svm.weight_[k].double().numpy(), float(svm.bias_[k])
        best = LOSS.objective(*train(features, positives, negatives), examples, len(positives))
        margins = dict(zip(negatives, (features[negatives] @ weight + bias).tolist(), strict=True))
        yield LOSS.objective(weight, bias, examples, len(positives)) / best, margins


def test_mining_to_the_end_equals_training_on_every_negative(scene, miners):
    for k, (excess, margins) in enumerate(mined(scene(3), passes=10)):
        assert 1 - 1e-9 <= excess <= 1 + 1e-6
        uncached = [margin for row, margin in margins.items() if row not in miners[k].rows]
        assert uncached and max(uncached) <= -1 + 1e-6


def test_folds_tell_what_separate_svms_tell_of_the_images_they_lack(scene):
    # Nothing is evicted and every negative is hard, so the final cache is every negative.
    source, settings = scene(5), {"hard_margin": -1e8, "evict_below": -1e9, "tol": 1e-10, "max_iter": 10**6}
    index, svm = source.index, LinearSVM(num_classes=3, feature_dim=12, folds=2, **settings)
    svm.fit(source, FixedOrder())
    features = source.take(np.arange(len(index))).double().numpy() * float(svm.scale_)
    fold = np.arange(5) % 2
    for k, told in enumerate(svm.report()["held_out"]):
        positives = np.flatnonzero(index.truth_label == k)
        negatives = np.array([row for image in range(5) for row in negatives_of(index, image, k)])
        found, refused = [], []
        for own in range(2):
            seen = [rows[fold[index.image[rows]] != own].tolist() for rows in (positives, negatives)]
            if not all(seen):
                continue
            weight, bias = train(features, *seen)
            found += (features[positives[fold[index.image[positives]] == own]] @ weight + bias > 0).tolist()
            refused += (features[negatives[fold[index.image[negatives]] == own]] @ weight + bias <= 0).tolist()
        shares = [np.mean(of) if of else None for of in (found, refused)]
        assert list(told.values()) == shares


class FixedOrder:
    """A generator whose permutations are the identity, so that image i is in fold i mod 2."""

    def permutation(self, count):
        return np.arange(count)

    def integers(self, high, size):
        return np.zeros(size, int)


def test_one_pass_is_close_to_training_on_every_negative(scene):
    for excess, _ in mined(scene(4), passes=1):
        assert 1 - 1e-9 <= excess <= 1 + 2e-3
