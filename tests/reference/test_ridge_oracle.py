"""Box regression against independent second methods."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge as SklearnRidge

from detkit.box_heads.closed_form import solve_ridge
from detkit.box_heads.examples import BoxExamples
from detkit.box_heads.ridge import Ridge


def problem(rows, columns, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, columns)).astype(np.float32), rng.normal(size=(rows, 4))


@pytest.mark.parametrize("shape", [(50, 8), (8, 50), (20, 20), (1, 5)])
@pytest.mark.parametrize("form", ["auto", "primal", "dual"])
def test_primal_and_dual_equal_least_squares_on_augmented_rows(shape, form):
    features, targets = problem(*shape)
    augmented = np.vstack([features.astype(np.float64), np.sqrt(5.0) * np.eye(shape[1])])
    expected = np.linalg.lstsq(augmented, np.vstack([targets, np.zeros((shape[1], 4))]), rcond=None)[0]
    beta = solve_ridge([torch.from_numpy(features)], torch.from_numpy(targets), 5.0, form)
    np.testing.assert_allclose(beta, expected, atol=1e-12)


@pytest.fixture
def source(make_index, array_source):
    rng, images = np.random.default_rng(1), []
    for i in range(12):
        truth = np.array([20, 20, 70, 60]) + rng.integers(-15, 15)
        images.append(([truth], [i % 2], truth + rng.integers(-5, 6, size=(20, 4))))
    index = make_index(images, 2)
    return array_source(index, rng.random((len(index), 10)))


def test_the_head_equals_sklearns_ridge_on_centred_targets(source):
    head = Ridge(num_classes=2, feature_dim=10, alpha=50.0).fit(source, np.random.default_rng(0))
    examples = BoxExamples.collect(source.index, 0.6)
    for k in range(2):
        own = examples.labels == k
        features = source.take(examples.rows[own.numpy()]).double().numpy() * float(head.scale_)
        targets = examples.targets[own].numpy()
        model = SklearnRidge(alpha=50.0, fit_intercept=False, solver="cholesky")
        model.fit(np.hstack([features, np.ones((len(features), 1))]), targets - targets.mean(0))
        np.testing.assert_allclose(head.weight_[k], model.coef_[:, :-1], atol=1e-6)
        np.testing.assert_allclose(head.bias_[k], model.coef_[:, -1] + targets.mean(0), atol=1e-6)


def test_whitening_the_targets_changes_nothing():
    features, targets = problem(60, 9)
    centred = targets - targets.mean(0)
    values, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    whiten = vectors @ np.diag((values + 0.001) ** -0.5) @ vectors.T
    unwhiten = vectors @ np.diag((values + 0.001) ** 0.5) @ vectors.T
    plain, whitened = (
        solve_ridge([torch.from_numpy(features)], torch.from_numpy(y), 1000.0) for y in (centred, centred @ whiten)
    )
    np.testing.assert_allclose(whitened.numpy() @ unwhiten, plain, atol=1e-15)
