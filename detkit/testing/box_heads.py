"""What every box head keeps."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detkit.box_heads.base import BoxHead
from detkit.config.schema import given_of
from detkit.regions.source import LinearHead
from detkit.structures import Boxes
from detkit.testing.expect import (
    CountedSource,
    expect,
    expect_given,
    expect_same,
    expect_state_is_checked,
    features_of,
    index_of,
)

K, D = 3, 8


def _new(make: Any) -> BoxHead:
    made: BoxHead = make(num_classes=K, feature_dim=D)
    return made


def _source() -> CountedSource:
    """Two classes with examples that are shifted by up to two pixels, a third class without any."""
    near = [[i / 2, 0, 20 + i / 2, 20] for i in range(5)]
    index = index_of([([[0, 0, 20, 20]], [k % 2], [*near, [60, 60, 90, 90]]) for k in range(4)], K)
    return CountedSource(index, features_of(index, D))


def _head() -> LinearHead:
    """A head of boxes that moves all classes but the third."""
    weight = torch.randn(4 * K, D, generator=torch.Generator().manual_seed(0)) / 10
    weight[8:] = 0
    return LinearHead(weight, torch.zeros(4 * K))


def _fit(make: Any, source: CountedSource | None = None) -> BoxHead:
    return _new(make).fit(source or _source(), np.random.default_rng(1), head=_head())


def _regions(count: int) -> tuple[Tensor, Boxes]:
    corner = torch.rand(count, 2) * 50
    return torch.rand(count, D), Boxes(torch.cat([corner, corner + 5 + torch.rand(count, 2) * 40], 1))


def the_builder_gives_classes_and_dimension_and_nothing_else(make: Any) -> None:
    """K and D."""
    expect_given(make.component, given_of(make.component), {"num_classes", "feature_dim"})


def fit_reads_no_row_outside_the_example_rows(make: Any) -> None:
    """Only these are stored for it; the others are NaN here."""
    source = _source()
    rows = _new(make).example_rows(source.index)
    expect(rows.dtype == np.int64 and (np.diff(rows) > 0).all(), "example_rows: expected ascending int64 rows")
    poisoned = np.full((len(source.index), D), np.nan, dtype=np.float32)
    poisoned[rows] = source.take(rows).numpy()
    head = _fit(make, CountedSource(source.index, poisoned))
    finite = all(bool(torch.isfinite(value).all()) for value in head.state().values())
    expect(finite, "fit read a row that example_rows does not name")


def refine_gives_a_finite_box_for_each_region(make: Any) -> None:
    """For no, one and many regions."""
    head = _fit(make)
    for rows in (0, 1, 7):
        features, boxes = _regions(rows)
        refined = head.refine(features, boxes, torch.arange(rows) % K)
        expect(isinstance(refined, Boxes) and len(refined) == rows, f"refine: expected {rows} Boxes, got {refined!r}")


def a_region_moves_alike_alone_and_among_others(make: Any) -> None:
    """But for rounding."""
    head, (features, boxes), labels = _fit(make), _regions(6), torch.tensor([0, 1, 2, 0, 1, 2])
    together = head.refine(features, boxes, labels).tensor
    for i in range(6):
        alone = head.refine(features[i : i + 1], boxes[i], labels[i : i + 1]).tensor[0]
        expect(
            torch.allclose(alone, together[i], rtol=0, atol=1e-4),
            f"region {i} moves to {alone.tolist()} alone and to {together[i].tolist()} among others",
        )


def boxes_of_a_class_without_examples_stay(make: Any) -> None:
    """The third class has none, and a head of zeros."""
    features, boxes = _regions(5)
    expect_same(
        _fit(make).refine(features, boxes, torch.full((5,), 2)).tensor,
        boxes.tensor,
        "boxes of a class that was not learnt",
    )


def every_class_moves_as_refine_does(make: Any) -> None:
    """Where a head can be exported at all; sides of up to 45 pixels, in single precision."""
    head, (features, corners) = _fit(make), _regions(5)
    found = head.every_class(features, corners.tensor)
    if found is None:
        return
    for label in range(K):
        alone = head.refine(features, corners, torch.full((5,), label)).tensor
        expect(
            torch.allclose(found[:, label], alone, rtol=0, atol=1e-3),
            f"every_class moves boxes of class {label} to {found[:, label].tolist()}, refine to {alone.tolist()}",
        )


def a_head_without_features_accepts_empty_ones(make: Any) -> None:
    """Where ``reads_features`` is False."""
    if not _new(make).reads_features:
        _, boxes = _regions(4)
        refined = _fit(make).refine(torch.zeros(4, 0), boxes, torch.zeros(4, dtype=torch.int64))
        expect(len(refined) == 4, f"refine: expected 4 boxes, got {len(refined)}")


def a_split_without_examples_moves_nothing(make: Any) -> None:
    """Unless it takes over a tuned head."""
    head = _new(make)
    if head.needs_head:
        return
    index = index_of([([], [], [[0, 0, 9, 9]])], K)
    features, boxes = _regions(3)
    head.fit(CountedSource(index, np.ones((1, D), dtype=np.float32)), np.random.default_rng(1))
    expect_same(head.refine(features, boxes, torch.arange(3)).tensor, boxes.tensor, "boxes without any example")


def refinement_survives_state_and_load_and_is_the_same_for_the_same_generator(make: Any) -> None:
    """To the bit."""
    (features, boxes), labels = _regions(6), torch.arange(6) % K
    fitted, restored = _fit(make), _new(make)
    restored.load(fitted.state())
    expected = fitted.refine(features, boxes, labels).tensor
    expect_same(restored.refine(features, boxes, labels).tensor, expected, "refine after load")
    expect_same(_fit(make).refine(features, boxes, labels).tensor, expected, "refine of two fits")


def a_broken_state_is_refused_by_name(make: Any) -> None:
    """A missing tensor, and one of another shape."""
    expect_state_is_checked(lambda: _new(make), _fit(make).state())


def the_report_is_json(make: Any) -> None:
    """Without NaN."""
    json.dumps(_fit(make).report(), allow_nan=False)


CHECKS = (
    the_builder_gives_classes_and_dimension_and_nothing_else,
    fit_reads_no_row_outside_the_example_rows,
    refine_gives_a_finite_box_for_each_region,
    a_region_moves_alike_alone_and_among_others,
    boxes_of_a_class_without_examples_stay,
    every_class_moves_as_refine_does,
    a_head_without_features_accepts_empty_ones,
    a_split_without_examples_moves_nothing,
    refinement_survives_state_and_load_and_is_the_same_for_the_same_generator,
    a_broken_state_is_refused_by_name,
    the_report_is_json,
)
