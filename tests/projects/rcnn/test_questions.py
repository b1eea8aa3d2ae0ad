"""The questions to R-CNN: what they run can be run, and what they compute is right."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from detkit.box_heads.identity import Identity
from detkit.config import load_config
from detkit.config.layout import layout
from detkit.config.project import bundled_projects, import_named
from detkit.detection.scorer import RegionScorer
from detkit.errors import DataError
from detkit.evaluation.recall import ProposalRecall
from detkit.registry import QUESTIONS
from detkit.run.runner import Run
from detkit.structures import Annotations, Boxes, Detections
from detkit.study.answer import Answer
from detkit.study.asking import questions
from detkit.study.comparison import Comparison
from detkit.study.learnt import ScoredRegions, finetune_regions, support_vectors
from detkit.study.text import NOTHING
from detkit.testing import check_component

for project in bundled_projects():
    import_named(str(project), "test")

NAMES = ["causes", "layers", "negatives", "proposals", *(f"q3.{n}" for n in range(1, 11)), "regression", "warp"]


def part(name):
    """A module of the questions."""
    return importlib.import_module(f"detkit.projects.rcnn.questions.{name}")


@pytest.fixture(scope="module")
def config():
    return load_config("projects/rcnn/paper_tiny.yaml")


def test_the_ten_questions_of_the_notes_and_the_papers_tables_are_there():
    assert list(questions()) == NAMES
    recipes = {"tiny": "projects/rcnn/paper_tiny.yaml", "photographs": "projects/rcnn/paper_photographs.yaml"}
    assert all(q.title.zh and q.source and q.presets == recipes for q in questions().values())


@pytest.mark.parametrize("name", NAMES)
def test_its_keys_are_keys_and_its_claims_are_of_its_lines(name, config):
    question, tree = QUESTIONS.get(name)(), layout()
    settings = question.settings(config)
    for key in {key for setting in settings for key in setting.keys}:
        node = tree
        for word in key.split("."):
            assert word in node, key
            node = node[word]
    labels = [setting.label.en for setting in settings]
    assert len(set(labels)) == len(labels)
    if isinstance(question, Comparison):
        assert question.said.zh
        claims = question.claimed(config)
        assert claims and {c.better for c in claims} | {c.worse for c in claims} <= set(labels)


def test_pool5_of_the_papers_network_sees_195_of_227_pixels(config):
    answer = QUESTIONS.get("q3.4")().answer(SimpleNamespace(config=config))
    assert "CaffeNet's sees 195 of 227; the paper's figure holds here." in answer.paragraph.en
    assert "227 中的 195；论文的数字，在这里成立" in answer.paragraph.zh
    assert [str(table.heading.en) for table in answer.tables] == [
        "Receptive fields of CaffeNet, crops of 227 px",
        "Receptive fields of TinyNet, crops of 48 px",
    ]


def test_only_the_best_proposal_of_an_object_is_told_right():
    boxes = Boxes.of([[0, 0, 10, 10], [0, 0, 10, 8], [50, 50, 60, 60]])
    truths = Annotations.of(Boxes.of([[0, 0, 10, 10]]), [2])
    found = part("reach")._told_right(boxes, truths)
    assert found.boxes.tensor.tolist() == [[0, 0, 10, 10]]
    assert (found.scores.tolist(), found.labels.tolist()) == ([1.0], [2])
    empty = part("reach")._told_right(Boxes.of([]), truths)
    assert len(empty) == 0


class Images(list):
    """A test split."""

    class_names = ("square", "circle", "triangle", "star")


def of_test_images(samples):
    """What ``_judged`` asks of a run."""
    images = Images(samples)
    return SimpleNamespace(last=lambda *kind: "step", result=lambda step: Path(), datasets=lambda role: images)


def test_of_equal_proposals_those_come_first_that_the_evaluator_draws(trained, monkeypatch):
    reach = part("reach")
    samples = list(Run.of(load_config("tiny.yaml"), "tiny").datasets("TEST"))
    found = [np.concatenate([sample.annotations.boxes.tensor, [[0, 0, 9, 9]] * 5]) for sample in samples]
    equal = [{"boxes": torch.tensor(boxes).float(), "objectness": torch.zeros(len(boxes))} for boxes in found]
    monkeypatch.setattr(reach, "split_images", lambda file: equal)
    recall = ProposalRecall(class_names=Images.class_names, counts=(2,))
    for sample, one in zip(samples, equal):
        recall.add(sample, Detections.of(Boxes(one["boxes"]), one["objectness"], [0] * len(one["boxes"])))
    expected = recall.compute()["ProposalRecall"]["by_count"]["2"]
    assert 0 < expected["recall"]["0.5"] < 1
    judged = reach._judged(of_test_images(samples), 2)
    assert (judged["recall"], judged["mabo"]) == pytest.approx(
        (100 * expected["recall"]["0.5"], 100 * expected["MABO"])
    )
    without = of_test_images(replace(sample, annotations=None) for sample in samples)
    with pytest.raises(DataError, match=f"image {samples[0].image_id}: the test split has no annotations"):
        reach._judged(without)


def test_gap_between_the_logarithm_and_its_argument_by_hand(make_index, array_source):
    # 10 x 20 in 20 x 20 has IoU 1/2; its width doubles: |log 2 - 1| = 0.3069, its height stays: mean 0.1534
    index = make_index([([[0, 0, 20, 20]], [0], [[0, 0, 10, 20], [60, 60, 90, 90]])], 1, with_truths=False)
    scorer = RegionScorer(None, "fc7", Identity(num_classes=1, feature_dim=2), "pool5")
    source = array_source(index, np.zeros((2, 2)))
    test = ScoredRegions(index, SimpleNamespace(source=lambda layer: source), scorer)
    near = part("near").Near.of(test)
    assert near.iou.tolist() == [0.5]
    assert near.gap.tolist() == pytest.approx([0.15343], abs=1e-5)
    # the centre is half a width away, and the width's logarithm is 0.6931; nothing is moved
    assert near.target.tolist() == near.error.tolist() == pytest.approx([(0.5 + 0.69315) / 4], abs=1e-5)
    assert near.after.tolist() == [0.5]
    assert near.mean(near.gap, (0.5, 0.6)).value == pytest.approx(0.15343, abs=1e-5)


def test_at_half_the_scale_a_move_in_pixels_halves_and_one_in_sides_stays():
    scales = part("scaled")
    image, goal = np.zeros((60, 80, 3), np.uint8), Boxes.of([[10, 10, 50, 30]])
    whole, half = (scales.at_scale(image, goal, scale) for scale in (1.0, 0.5))
    assert half[0].shape == (30, 40, 3)
    assert torch.equal(half[1].tensor * 2, whole[1].tensor)
    # the centre moves 0.12 * (40, 20) px back: 5.367; of sides 1.15 times as large 0.12 / 1.15 * sqrt(2) = 0.1476
    assert scales.mean_moves([whole[1:]])[:2] == ["5.4", "0.148"]
    assert scales.mean_moves([half[1:]])[:2] == ["2.7", "0.148"]


def test_softmax_on_mined_negatives_keeps_the_contract_and_tells_classes_apart(make_index, array_source):
    softmax = importlib.import_module("detkit.projects.rcnn.mined_softmax").MinedSoftmax
    check_component(softmax)
    images = [([[0, 0, 20, 20]], [k], [[50, 50, 70, 70], [60, 60, 90, 90]]) for k in (0, 1, 0, 1)]
    index = make_index(images, 2)
    # of each image the object in its class's direction, then two backgrounds in a third
    features = np.concatenate([[np.eye(3)[k], np.eye(3)[2], np.eye(3)[2]] for k in (0, 1, 0, 1)])
    made = softmax(num_classes=2, feature_dim=3, c=1.0).fit(array_source(index, features), np.random.default_rng(0))
    scores = made.score(torch.eye(3))
    assert scores.argmax(1)[:2].tolist() == [0, 1]
    assert float(scores[2].max()) < 0.1 < 0.8 < float(scores[:2].max(1).values.min())
    objects = make_index([([[0, 0, 20, 20]], [k], []) for k in (0, 1)], 2)
    alone = softmax(num_classes=2, feature_dim=3).fit(array_source(objects, np.eye(3)[:2]), np.random.default_rng(0))
    assert alone.score(torch.eye(3)).isneginf().all(), "there is no background to tell classes from"


def test_support_vectors_and_labels_of_fine_tuning_are_counted_on_a_finished_run(trained):
    run = Run.of(load_config("tiny.yaml"), "tiny")
    positives, negatives, candidates = support_vectors(run)
    index = finetune_regions(run)
    truths = np.bincount(index.truth_label[index.truth_label >= 0], minlength=4)
    assert (positives <= truths).all() and positives.sum() > 0
    # every region but those from IoU 0.3 on with the class is a candidate
    near = [(torch.maximum(*index.overlaps(i)) >= 0.3).sum(0).numpy() for i in range(index.num_images)]
    assert candidates.tolist() == (len(index) - np.sum(near, 0)).tolist()
    assert (negatives <= candidates).all() and negatives.sum() > 0
    assert set(index.label) <= set(range(5)) and len(index.foreground_rows) >= truths.sum()


def test_a_network_of_one_layer_is_not_compared_with_itself(config, monkeypatch):
    layers = part("layers")
    monkeypatch.setattr(layers, "network_layers", lambda config: {"pool5": None})
    claims = [(claim.better, claim.worse) for claim in layers.Layers().claimed(config)]
    tuned = "pool5, fine-tuned"
    assert claims == [(tuned, "pool5"), ("fc6", "fc7"), (f"{tuned}, boxes", tuned)]
    boxes = layers.BoxesFromPool5()
    assert boxes.claimed(config) == []
    labels = [setting.label.en for setting in boxes.settings(config)]
    assert labels.count("SVM pool5") == 1 and len(set(labels)) == len(labels)


def test_positives_of_fine_tuning_are_told_with_the_iou_of_the_recipe(trained):
    labels = part("labels")
    run = Run.of(load_config("tiny.yaml", ["FINETUNE.FOREGROUND_IOU=0.625"]), "tiny")
    counted = SimpleNamespace(run=lambda setting: run)
    told = labels.OtherLabels().extended(counted, Answer(NOTHING, settings=[None]))
    assert "from IoU 0.625 on" in told.paragraph.en and "0.625" in told.paragraph.of("zh")
    assert told.tables[0].columns[2].en == "positives from IoU 0.625"
