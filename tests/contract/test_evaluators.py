"""Every registered evaluator keeps the promises of its interface."""

import json
import math
from pathlib import Path

import pytest
import torch

from detkit.components import BUILT_IN
from detkit.config.schema import given_of
from detkit.errors import DataError
from detkit.registry import EVALUATORS
from detkit.structures import Annotations, Boxes, Detections, Sample

for module in (m for m in BUILT_IN if m.startswith("detkit.evaluation.")):
    pytest.importorskip(module)

CLASSES = ("cat", "dog", "cow")
TRUTHS = [[10, 10, 60, 60], [100, 20, 180, 90], [5, 100, 95, 195]]
NAMES = EVALUATORS.names()


def sample(boxes, labels, difficult=None, crowd=None):
    return Sample("image", Path("image.jpg"), (200, 200), Annotations.of(Boxes.of(boxes), labels, difficult, crowd))


def detections_for(evaluator, boxes, labels=()):
    if evaluator.judges_proposals:
        labels = [0] * len(boxes)
    return Detections.of(Boxes.of(boxes), torch.linspace(1, 0.5, len(boxes)), list(labels))


def fill(evaluator):
    evaluator.add(sample(TRUTHS[:2], [0, 1]), detections_for(evaluator, TRUTHS[:2], [0, 1]))
    evaluator.add(sample([TRUTHS[2]], [0]), detections_for(evaluator, [[5, 100, 95, 190]], [0]))
    evaluator.add(sample([], []), detections_for(evaluator, [[0, 0, 50, 50]], [1]))
    evaluator.add(sample([TRUTHS[0]], [1], [True], [False]), detections_for(evaluator, []))
    evaluator.add(sample([TRUTHS[1]], [1], [False], [True]), detections_for(evaluator, [TRUTHS[1]], [1]))


def numbers(value):
    if isinstance(value, dict):
        return [n for v in value.values() for n in numbers(v)]
    return numbers(dict(enumerate(value))) if isinstance(value, list) else [value]


@pytest.fixture(params=NAMES)
def evaluator(request):
    return EVALUATORS.get(request.param)(class_names=CLASSES)


@pytest.mark.parametrize("name", NAMES)
def test_the_builder_gives_the_class_names_and_nothing_else(name):
    assert given_of(EVALUATORS.get(name)) == {"class_names"}


def test_metrics_are_json_by_name(evaluator):
    fill(evaluator)
    metrics = evaluator.compute()
    assert metrics and all(isinstance(k, str) and isinstance(v, dict) for k, v in metrics.items())
    text = json.dumps(metrics, allow_nan=False)
    assert json.loads(text) == json.loads(json.dumps(metrics))
    assert all(n is None or isinstance(n, str) or math.isfinite(n) for n in numbers(metrics))


def test_computing_twice_changes_nothing(evaluator):
    fill(evaluator)
    assert evaluator.compute() == evaluator.compute()


def test_reset_forgets_every_image(evaluator):
    fill(evaluator)
    first = evaluator.compute()
    evaluator.add(sample([TRUTHS[2]], [2]), detections_for(evaluator, []))
    evaluator.reset()
    fill(evaluator)
    assert evaluator.compute() == first


def test_input_is_left_as_it_was(evaluator):
    truth, found = sample(TRUTHS[:2], [0, 1]), detections_for(evaluator, TRUTHS[:2], [0, 1])
    before = [t.clone() for t in (truth.annotations.boxes.tensor, found.boxes.tensor, found.scores)]
    evaluator.add(truth, found)
    evaluator.compute()
    after = (truth.annotations.boxes.tensor, found.boxes.tensor, found.scores)
    assert all(torch.equal(a, b) for a, b in zip(before, after))


def test_no_ground_truth_at_all_is_a_data_error(evaluator):
    evaluator.add(sample([], []), detections_for(evaluator, [TRUTHS[0]], [0]))
    with pytest.raises(DataError, match="no ground truth"):
        evaluator.compute()


def test_a_sample_without_annotations_is_refused_by_name(evaluator):
    with pytest.raises(ValueError, match="image"):
        evaluator.add(Sample("image", Path("image.jpg"), (9, 9)), detections_for(evaluator, []))


def test_nothing_is_printed(evaluator, capsys):
    fill(evaluator)
    evaluator.compute()
    assert capsys.readouterr().out == ""
