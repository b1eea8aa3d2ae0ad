"""Every registered box head against the interface."""

import json

import numpy as np
import pytest
import torch

from detkit.box_heads.base import BoxHead
from detkit.components import load_components
from detkit.config.schema import given_of
from detkit.errors import ModelError
from detkit.registry import BOX_HEADS
from detkit.structures import Boxes

load_components()
K, D = 3, 8


@pytest.fixture(params=BOX_HEADS.names())
def make(request):
    return lambda: BOX_HEADS.get(request.param)(num_classes=K, feature_dim=D)


@pytest.fixture
def source(make_index, array_source):
    """Two classes with examples that are shifted by up to two pixels, a third class without any."""
    near = [[i / 2, 0, 20 + i / 2, 20] for i in range(5)]
    index = make_index([([[0, 0, 20, 20]], [k % 2], [*near, [60, 60, 90, 90]]) for k in range(4)], K)
    return array_source(index, np.random.default_rng(0).random((len(index), D), dtype=np.float32))


def fit(head, source):
    return head.fit(source, np.random.default_rng(1))


def regions(count):
    corner = torch.rand(count, 2) * 50
    return torch.rand(count, D), Boxes(torch.cat([corner, corner + 5 + torch.rand(count, 2) * 40], 1))


def test_the_builder_gives_classes_and_dimension_and_nothing_else(make):
    assert isinstance(make(), BoxHead)
    assert given_of(type(make())) == {"num_classes", "feature_dim"}


def test_fit_reads_no_row_outside_the_example_rows(make, source, array_source):
    rows = make().example_rows(source.index)
    assert rows.dtype == np.int64 and (np.diff(rows) > 0).all()
    assert (len(rows) > 0) == make().reads_features
    poisoned = np.full((len(source.index), D), np.nan, dtype=np.float32)
    poisoned[rows] = source.take(rows).numpy()
    head = fit(make(), array_source(source.index, poisoned))
    assert all(torch.isfinite(value).all() for value in head.state().values())


@pytest.mark.parametrize("rows", [0, 1, 7])
def test_refine_gives_a_finite_box_for_each_region(make, source, rows):
    features, boxes = regions(rows)
    refined = fit(make(), source).refine(features, boxes, torch.arange(rows) % K)
    assert isinstance(refined, Boxes) and len(refined) == rows


def test_a_region_moves_alike_alone_and_among_others(make, source):
    head, (features, boxes), labels = fit(make(), source), regions(6), torch.tensor([0, 1, 2, 0, 1, 2])
    together = head.refine(features, boxes, labels)
    for i in range(6):
        alone = head.refine(features[i : i + 1], boxes[i], labels[i : i + 1])
        torch.testing.assert_close(alone.tensor[0], together.tensor[i], rtol=0, atol=1e-4)


def test_boxes_of_a_class_without_examples_stay(make, source):
    features, boxes = regions(5)
    assert torch.equal(fit(make(), source).refine(features, boxes, torch.full((5,), 2)).tensor, boxes.tensor)


def test_a_head_without_features_accepts_empty_ones(make, source):
    if not make().reads_features:
        _, boxes = regions(4)
        refined = fit(make(), source).refine(torch.zeros(4, 0), boxes, torch.zeros(4, dtype=torch.int64))
        assert len(refined) == 4


def test_a_split_without_examples_moves_nothing(make, make_index, array_source):
    index = make_index([([], [], [[0, 0, 9, 9]])], K)
    features, boxes = regions(3)
    head = fit(make(), array_source(index, np.ones((1, D), dtype=np.float32)))
    assert torch.equal(head.refine(features, boxes, torch.arange(3)).tensor, boxes.tensor)


def test_refinement_survives_state_and_load_and_is_the_same_for_the_same_generator(make, source):
    (features, boxes), labels = regions(6), torch.arange(6) % K
    fitted, restored = fit(make(), source), make()
    restored.load(fitted.state())
    expected = fitted.refine(features, boxes, labels).tensor
    assert torch.equal(restored.refine(features, boxes, labels).tensor, expected)
    assert torch.equal(fit(make(), source).refine(features, boxes, labels).tensor, expected)


def test_loading_a_state_of_other_shape_or_without_a_tensor_is_an_error(make, source):
    state = fit(make(), source).state()
    for name in state:
        with pytest.raises(ModelError, match=name):
            make().load({key: value for key, value in state.items() if key != name})
        with pytest.raises(ModelError, match=name):
            make().load({**state, name: torch.zeros(3, 5, 7)})


def test_the_report_is_json(make, source):
    json.dumps(fit(make(), source).report(), allow_nan=False)
