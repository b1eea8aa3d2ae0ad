"""What every classifier keeps."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch

from detkit.classifiers.base import Classifier
from detkit.config.schema import given_of
from detkit.errors import ConfigError
from detkit.regions.source import LinearHead
from detkit.testing.expect import (
    CountedProgress,
    CountedSource,
    expect,
    expect_given,
    expect_raises,
    expect_same,
    expect_state_is_checked,
    features_of,
    index_of,
)

K, D = 2, 8


def _new(make: Any) -> Classifier:
    made: Classifier = make(num_classes=K, feature_dim=D)
    return made


def _source() -> CountedSource:
    square, far = [0, 0, 20, 20], [[50 + 2 * i, 50, 90, 90] for i in range(6)]
    index = index_of([([square], [0], far), ([], [], far), ([square], [1], [])], K)
    return CountedSource(index, features_of(index, D))


def _fit(make: Any, source: CountedSource | None = None) -> Classifier:
    generator = torch.Generator().manual_seed(0)
    head = LinearHead(torch.randn(K + 1, D, generator=generator), torch.randn(K + 1, generator=generator))
    return _new(make).fit(source or _source(), np.random.default_rng(1), head=head)


def the_builder_gives_classes_and_dimension_and_nothing_else(make: Any) -> None:
    """K and D."""
    expect_given(make.component, given_of(make.component), {"num_classes", "feature_dim"})


def fit_gives_itself_and_reads_features_only_where_it_says_so(make: Any) -> None:
    """``reads_features`` tells the truth."""
    source, classifier = _source(), _new(make)
    head = LinearHead(torch.zeros(K + 1, D), torch.zeros(K + 1))
    expect(classifier.fit(source, np.random.default_rng(1), head=head) is classifier, "fit does not return self")
    expect(
        (source.taken > 0) == classifier.reads_features,
        f"reads_features is {classifier.reads_features}, fit read {source.taken} rows",
    )


def features_are_read_as_often_as_it_says(make: Any) -> None:
    """``passes`` and ``fold_passes``: a stage estimates its time by them, and its progress ends at their number."""
    source, classifier, seen = _source(), _new(make), CountedProgress()
    head = LinearHead(torch.zeros(K + 1, D), torch.zeros(K + 1))
    classifier.fit(source, np.random.default_rng(1), head=head, progress=seen)
    images, most = source.index.num_images, classifier.passes
    # a fit that takes chosen rows makes no pass, and one that is quick tells of none
    expect(source.sweeps in (0, most), f"passes is {most}, fit read all features {source.sweeps} times")
    expect(seen.done in (0, images * most), f"fit told of {seen.done} images, expected {images} in {most} passes")
    if classifier.needs_head or not classifier.reads_features:
        return
    seen, most = CountedProgress(), classifier.fold_passes(3)
    classifier.fit_folds(source, np.array([0, 1, 2]), np.random.default_rng(1), progress=seen)
    expect(seen.done <= images * most, f"fit_folds told of {seen.done} images, expected {images} in {most} passes")


def scores_are_float32_without_background_column(make: Any) -> None:
    """(N, K) for no, one and many rows; probabilities lie in 0..1 and sum to at most 1."""
    fitted = _fit(make)
    for rows in (0, 1, 7):
        scores = fitted.score(torch.rand(rows, D))
        expect(
            scores.shape == (rows, K) and scores.dtype == torch.float32,
            f"score gave {scores.dtype} {tuple(scores.shape)} for {rows} rows, expected float32 ({rows}, {K})",
        )
        if fitted.score_kind == "probability":
            legal = ((scores >= 0) & (scores <= 1)).all() and (scores.sum(1) <= 1 + 1e-6).all()
            expect(legal, "score_kind is probability, but scores are below 0 or sum to more than 1")


def the_linear_map_gives_the_scores(make: Any) -> None:
    """``linear``, where there is one: margins are its outputs, probabilities their softmax."""
    fitted = _fit(make)
    linear, features = fitted.linear(), torch.rand(5, D)
    if linear is None:
        return
    outputs = features @ linear.weight.T + linear.bias
    wanted = outputs if fitted.score_kind == "margin" else outputs.softmax(1)
    expect(
        torch.allclose(wanted[:, :K], fitted.score(features), rtol=1e-4, atol=1e-5),
        "linear() is not the map that the scores follow from",
    )


def scores_survive_state_and_load(make: Any) -> None:
    """A loaded classifier scores alike to the bit."""
    fitted, features = _fit(make), torch.rand(5, D)
    state = fitted.state()
    expect(
        all(isinstance(v, torch.Tensor) and v.is_contiguous() for v in state.values()),
        "state holds something else than contiguous tensors",
    )
    restored = _new(make)
    restored.load(state)
    expect_same(restored.score(features), fitted.score(features), "score after load")


def the_same_generator_gives_the_same_scores(make: Any) -> None:
    """Nothing is random but the generator."""
    features = torch.rand(5, D)
    expect_same(_fit(make).score(features), _fit(make).score(features), "score of two fits")


def a_broken_state_is_refused_by_name(make: Any) -> None:
    """A missing tensor, and one of another shape."""
    expect_state_is_checked(lambda: _new(make), _fit(make).state())


def a_missing_head_is_an_error_exactly_where_it_is_needed(make: Any) -> None:
    """``needs_head`` tells the truth."""
    classifier = _new(make)
    if not classifier.needs_head:
        classifier.fit(_source(), np.random.default_rng(1))
        return
    expect_raises(ConfigError, lambda: classifier.fit(_source(), np.random.default_rng(1)), "fit without a head")


def folds_give_a_classifier_each_and_leave_their_own_as_it_is(make: Any) -> None:
    """``fit_folds``: the third image holds all truths of class 1, so what has not learnt from it differs there."""
    if _new(make).needs_head:
        return
    source, features = _source(), torch.rand(5, D)
    classifier = _fit(make, source)
    before = classifier.score(features)
    others = classifier.fit_folds(source, np.array([0, 1, 0]), np.random.default_rng(1))
    expect(len(others) == 2, f"fit_folds gave {len(others)} classifiers for two folds")
    first, second = (other.score(features) for other in others)
    expect(first.shape == second.shape == (5, K), f"a fold's scores are {tuple(first.shape)}, expected {(5, K)}")
    expect(not torch.equal(first[:, 1], second[:, 1]), "a fold's classifier has learnt from the fold's images")
    expect_same(classifier.score(features), before, "the classifier's own scores after fit_folds")


def the_report_is_json(make: Any) -> None:
    """Without NaN."""
    json.dumps(_fit(make).report(), allow_nan=False)


CHECKS = (
    the_builder_gives_classes_and_dimension_and_nothing_else,
    fit_gives_itself_and_reads_features_only_where_it_says_so,
    features_are_read_as_often_as_it_says,
    scores_are_float32_without_background_column,
    the_linear_map_gives_the_scores,
    scores_survive_state_and_load,
    the_same_generator_gives_the_same_scores,
    a_broken_state_is_refused_by_name,
    a_missing_head_is_an_error_exactly_where_it_is_needed,
    folds_give_a_classifier_each_and_leave_their_own_as_it_is,
    the_report_is_json,
)
