"""Every registered classifier against the interface."""

import json

import numpy as np
import pytest
import torch

from detkit.classifiers.base import Classifier
from detkit.components import load_components
from detkit.config.schema import given_of
from detkit.errors import ConfigError, ModelError
from detkit.regions.source import LinearHead
from detkit.registry import CLASSIFIERS

load_components()
K, D = 2, 8


@pytest.fixture(params=CLASSIFIERS.names())
def make(request):
    return lambda: CLASSIFIERS.get(request.param)(num_classes=K, feature_dim=D)


@pytest.fixture
def source(make_index, array_source):
    square, far = [0, 0, 20, 20], [[50 + 2 * i, 50, 90, 90] for i in range(6)]
    index = make_index([([square], [0], far), ([], [], far), ([square], [1], [])], K)
    return array_source(index, np.random.default_rng(0).random((len(index), D), dtype=np.float32))


def fit(classifier, source):
    generator = torch.Generator().manual_seed(0)
    head = LinearHead(torch.randn(K + 1, D, generator=generator), torch.randn(K + 1, generator=generator))
    return classifier.fit(source, np.random.default_rng(1), head=head)


def test_the_builder_gives_classes_and_dimension_and_nothing_else(make):
    assert isinstance(make(), Classifier)
    assert given_of(type(make())) == {"num_classes", "feature_dim"}


def test_fit_gives_itself_and_reads_features_only_where_it_says_so(make, source):
    classifier = make()
    assert fit(classifier, source) is classifier
    assert (source.taken > 0) == classifier.reads_features


@pytest.mark.parametrize("rows", [0, 1, 7])
def test_scores_are_float32_without_background_column(make, source, rows):
    scores = fit(make(), source).score(torch.rand(rows, D))
    assert scores.shape == (rows, K) and scores.dtype == torch.float32
    if make().score_kind == "probability":
        assert ((scores >= 0) & (scores <= 1)).all() and (scores.sum(1) <= 1 + 1e-6).all()


def test_scores_survive_state_and_load(make, source):
    fitted, features = fit(make(), source), torch.rand(5, D)
    state = fitted.state()
    assert all(isinstance(value, torch.Tensor) and value.is_contiguous() for value in state.values())
    restored = make()
    restored.load(state)
    assert torch.equal(restored.score(features), fitted.score(features))


def test_the_same_generator_gives_the_same_scores(make, source):
    features = torch.rand(5, D)
    assert torch.equal(fit(make(), source).score(features), fit(make(), source).score(features))


def test_loading_a_state_of_other_shape_or_without_a_tensor_is_an_error(make, source):
    state = fit(make(), source).state()
    for name in state:
        with pytest.raises(ModelError, match=name):
            make().load({key: value for key, value in state.items() if key != name})
        with pytest.raises(ModelError, match=name):
            make().load({**state, name: torch.zeros(3, 5, 7)})


def test_a_missing_head_is_an_error_exactly_where_it_is_needed(make, source):
    if make().needs_head:
        with pytest.raises(ConfigError, match="finetune"):
            make().fit(source, np.random.default_rng(1))
    else:
        make().fit(source, np.random.default_rng(1))


def test_the_report_is_json(make, source):
    json.dumps(fit(make(), source).report(), allow_nan=False)


def test_folds_give_a_classifier_each_and_leave_their_own_as_it_is(make, source):
    if make().needs_head:
        pytest.skip("its head has seen every image")
    classifier, features = fit(make(), source), torch.rand(5, D)
    before = classifier.score(features)
    others = classifier.fit_folds(source, np.array([0, 1, 0]), np.random.default_rng(1))
    assert len(others) == 2 and all(isinstance(other, type(classifier)) for other in others)
    assert all(other.score(features).shape == (5, K) for other in others)
    # The third image holds all truths of class 1: only what has not learnt from it differs there.
    assert not torch.equal(others[0].score(features)[:, 1], others[1].score(features)[:, 1])
    assert torch.equal(classifier.score(features), before)
