"""What every evaluator keeps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from detkit.config.schema import given_of
from detkit.errors import DataError
from detkit.evaluation.base import Evaluator
from detkit.structures import Annotations, Boxes, Detections, Sample
from detkit.testing.expect import expect, expect_given, expect_raises

CLASSES = ("cat", "dog", "cow")
TRUTHS: list[list[float]] = [[10, 10, 60, 60], [100, 20, 180, 90], [5, 100, 95, 195]]


def _new(make: Any) -> Evaluator:
    made: Evaluator = make(class_names=CLASSES)
    return made


def _sample(
    boxes: list[list[float]], labels: list[int], difficult: list[bool] | None = None, crowd: list[bool] | None = None
) -> Sample:
    annotations = Annotations.of(Boxes.of(boxes), labels, difficult, crowd)
    return Sample("image", Path("image.jpg"), (200, 200), annotations)


def _found(evaluator: Evaluator, boxes: list[list[float]], labels: list[int]) -> Detections:
    labels = [0] * len(boxes) if evaluator.judges_proposals else labels
    return Detections.of(Boxes.of(boxes), torch.linspace(1, 0.5, len(boxes)), labels)


def _fill(evaluator: Evaluator) -> None:
    """Five images: hits, a class apart, no truth, a difficult truth, a crowd."""
    evaluator.add(_sample(TRUTHS[:2], [0, 1]), _found(evaluator, TRUTHS[:2], [0, 1]))
    evaluator.add(_sample([TRUTHS[2]], [0]), _found(evaluator, [[5, 100, 95, 190]], [0]))
    evaluator.add(_sample([], []), _found(evaluator, [[0, 0, 50, 50]], [1]))
    evaluator.add(_sample([TRUTHS[0]], [1], [True], [False]), _found(evaluator, [], []))
    evaluator.add(_sample([TRUTHS[1]], [1], [False], [True]), _found(evaluator, [TRUTHS[1]], [1]))


def the_builder_gives_the_class_names_and_nothing_else(make: Any) -> None:
    """Its other parameters are config keys."""
    expect_given(make.component, given_of(make.component), {"class_names"})


def metrics_are_json_by_name(make: Any) -> None:
    """{name: {...}} without NaN."""
    evaluator = _new(make)
    _fill(evaluator)
    metrics = evaluator.compute()
    named = isinstance(metrics, dict) and metrics and all(isinstance(v, dict) for v in metrics.values())
    expect(named, f"compute: expected metrics by name, got {metrics!r}")
    text = json.dumps(metrics, allow_nan=False)
    expect(json.loads(text) == json.loads(json.dumps(metrics)), "compute: the metrics are no plain values")


def computing_twice_changes_nothing(make: Any) -> None:
    """``compute`` only reads."""
    evaluator = _new(make)
    _fill(evaluator)
    expect(evaluator.compute() == evaluator.compute(), "compute gave something else the second time")


def reset_forgets_every_image(make: Any) -> None:
    """As if it were new."""
    evaluator = _new(make)
    _fill(evaluator)
    first = evaluator.compute()
    evaluator.add(_sample([TRUTHS[2]], [2]), _found(evaluator, [], []))
    evaluator.reset()
    _fill(evaluator)
    expect(evaluator.compute() == first, "after reset the same images gave other metrics")


def input_is_left_as_it_was(make: Any) -> None:
    """Boxes and scores."""
    evaluator = _new(make)
    truth, found = _sample(TRUTHS[:2], [0, 1]), _found(evaluator, TRUTHS[:2], [0, 1])
    assert truth.annotations is not None
    given = (truth.annotations.boxes.tensor, found.boxes.tensor, found.scores)
    before = [tensor.clone() for tensor in given]
    evaluator.add(truth, found)
    evaluator.compute()
    expect(all(torch.equal(a, b) for a, b in zip(before, given, strict=True)), "add or compute changed its input")


def no_ground_truth_at_all_is_a_data_error(make: Any) -> None:
    """It says so."""
    evaluator = _new(make)
    evaluator.add(_sample([], []), _found(evaluator, [TRUTHS[0]], [0]))
    error = expect_raises(DataError, evaluator.compute, "compute without any ground truth")
    expect("no ground truth" in str(error), f"the message does not say that there is no ground truth: {error}")


def a_sample_without_annotations_is_refused_by_name(make: Any) -> None:
    """ValueError with the image's id."""
    evaluator = _new(make)
    bare = Sample("image", Path("image.jpg"), (9, 9))
    error = expect_raises(ValueError, lambda: evaluator.add(bare, _found(evaluator, [], [])), "add without annotations")
    expect("image" in str(error), f"the message does not name the image: {error}")


CHECKS = (
    the_builder_gives_the_class_names_and_nothing_else,
    metrics_are_json_by_name,
    computing_twice_changes_nothing,
    reset_forgets_every_image,
    input_is_left_as_it_was,
    no_ground_truth_at_all_is_a_data_error,
    a_sample_without_annotations_is_refused_by_name,
)
