"""Two runs that differ in one setting, and two detection files, compared by the command."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as torch_save

from detkit.cli.main import main
from detkit.config import load_config
from detkit.evaluation.coco_files import write_coco
from detkit.evaluation.voc_files import write_voc
from detkit.report import compare_sides
from detkit.report.compare import ComparedDetectors, Side
from detkit.run.datasets import Datasets
from detkit.run.last_run import keep_plan
from detkit.stages.evaluate import evaluate
from detkit.structures import Boxes, Detections
from detkit.system.files import write_json
from tests.test_readme import write_model

RECIPE = "{DATA: {NAME: Shapes, TEST: test, Shapes: {TEST_IMAGES: 6}}, %s}"
EVALUATORS = "EVALUATORS: [VOC, COCO, ProposalRecall], EVALUATION: {VOC: {DRAWS: 20}}"
THRESHOLDS = [0.3, 0.3, 0.3, 0.6]


def detected(dataset, moved=0):
    """Every object, moved to the right, and a square in the corner where none is; scores fall from .9 by .01."""
    found, score = [], 0.9
    for sample in dataset:
        boxes = sample.annotations.boxes.tensor + torch.tensor([moved, 0, moved, 0])
        boxes, labels = torch.cat([boxes, torch.tensor([[0.0, 0, 5, 5]])]), [*sample.annotations.labels.tolist(), 2]
        found.append(Detections.of(Boxes(boxes), [score - 0.01 * i for i in range(len(labels))], labels))
        score -= 0.1
    return found


def write_run(folder, detections, *words):
    """What a run leaves that detected this, with thresholds of its own."""
    config = load_config("tiny.yaml", [f"OUTPUT_DIR={folder}", *words])
    dataset = Datasets(config)("TEST")
    write_model(folder / "model")
    described = folder / "model/model.yaml"
    described.write_text(described.read_text() + "calibration: folds\n")
    learnt = {name: torch.tensor(THRESHOLDS) for name in ("thresholds", "b")} | {"a": -torch.ones(4)}
    torch_save(learnt, folder / "model/calibration.safetensors")
    write_coco(folder / "detections/detections.json", dataset, detections(dataset))
    write_voc(folder / "detections", "test", dataset, detections(dataset))
    (folder / "config.yaml").write_text(config.text())
    write_json(folder / "env.json", {"detkit": "1", "device": "cpu", "compute": "float32"})
    description = {"stage": "", "data": [], "inputs": {}}
    keep_plan(folder, [SimpleNamespace(label="evaluate test", description=description, data={"TEST": dataset})])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with two runs, a and b; b suppresses less and finds everything further to the right."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DETKIT_CACHE", str(folder / "cache"))
        Path("tiny.yaml").write_text(RECIPE % EVALUATORS, encoding="utf-8")
        write_run(Path("a"), partial(detected, moved=8), "POSTPROCESS.NMS_IOU=0.3")
        write_run(Path("b"), partial(detected, moved=20), "POSTPROCESS.NMS_IOU=0.7")
    return folder


@pytest.fixture
def in_runs(runs, monkeypatch):
    monkeypatch.chdir(runs)


def compared(capsys, *words):
    assert main(["compare", *words]) == 0
    return capsys.readouterr().out


def refused(capsys, *words):
    assert main(["compare", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_two_runs_are_told_apart(in_runs, tmp_path, capsys):
    out = tmp_path / "out"
    text = compared(capsys, "a", "b", "--out", str(out))
    assert text.startswith("A: a\nB: b\n\nPOSTPROCESS.NMS_IOU: 0.3 -> 0.7\n\n")  # and no other setting
    assert (out / "comparison.txt").read_text() == text
    found = json.loads((out / "comparison.json").read_text())
    assert found["settings"] == [{"key": "POSTPROCESS.NMS_IOU", "first": 0.3, "second": 0.7}]
    assert list(found["metrics"]) == ["VOC07", "VOC10", "COCO"]
    config = load_config("tiny.yaml")
    dataset = Datasets(config)("TEST")
    for name, moved in (("first", 8), ("second", 20)):
        expected = evaluate(config, dataset, detected(dataset, moved))
        for metric in ("VOC07", "VOC10"):
            assert found["metrics"][metric]["mAP"][name] == pytest.approx(expected[metric]["mAP"], abs=1e-9)
            for label, ap in expected[metric]["AP"].items():
                assert (found["metrics"][metric]["AP"][label] or {name: None})[name] == pytest.approx(ap, abs=1e-9)
        assert found["metrics"]["COCO"]["mAP"][name] == pytest.approx(expected["COCO"]["AP"], abs=1e-9)
    assert found["metrics"]["VOC07"]["mAP"]["difference"]["high"] < 0 and "*" in text
    # only what reaches its class's threshold is compared: .6 for triangles, .3 for others
    assert {(c["kind"], c["verdict"]) for c in found["changes"]} == {
        ("vanished", "right"),
        ("appeared", "wrong"),
        ("turned", "wrong"),
    }
    shown = [c[side]["score"] for c in found["changes"] for side in ("first", "second") if side in c]
    assert min(shown) >= 0.3
    assert all(c["first"]["score"] >= 0.6 for c in found["changes"] if c["class"] == "triangle" and "first" in c)
    pictures = np.asarray(Image.open(out / "pictures.png"))
    assert pictures.shape[1] == 2 * 480 + 3 * 6


def test_a_run_does_not_differ_from_itself(in_runs, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "pictures.png").write_bytes(b"of an earlier comparison")
    text = compared(capsys, "a", "a", "--out", str(out))
    found = json.loads((out / "comparison.json").read_text())
    assert found["changes"] == found["settings"] == []
    assert all(m["mAP"]["difference"] == {"value": 0, "low": 0, "high": 0} for m in found["metrics"].values())
    assert "*" not in text and not (out / "pictures.png").exists()


def test_a_threshold_that_no_score_reaches_is_none_in_json():
    sides = (Side("a", [], torch.tensor([0.5, float("inf")]), "best F1"),) * 2
    runs = ComparedDetectors([], ("cat", "dog"), sides, ([], []), {}, []).plain()["runs"]
    assert [run["thresholds"] for run in runs] == [{"cat": 0.5, "dog": None}] * 2


def test_files_are_compared_without_images_and_shown_from_their_best_f1(in_runs, tmp_path, capsys, monkeypatch):
    files = [
        "--detections",
        "a/detections",
        "b/detections/detections.json",
        "--config",
        "tiny.yaml",
        "EVALUATORS=[VOC]",
    ]
    text = compared(capsys, *files)
    assert "best F1 on these annotations" in text and "NMS_IOU" not in text and "images that changed most" in text
    none = compared(capsys, *files, "--min-score", "100")
    assert none.splitlines()[-2].split() == ["all", *"000000"]  # nothing is shown from 100 on
    assert "images that changed most" not in none


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["a"], "expected two folders of runs, got 1: a"),
        (["a", "b", "c"], "expected two folders of runs, got 3"),
        (["a", "nowhere"], "nowhere: not the folder of a run"),
        (["a", "b", "--min-score", "1"], "--min-score goes with --detections"),
        (["a", "b", "--config", "tiny.yaml"], "--config goes with --detections"),
        (["--detections", "a", "b"], "--detections: name a recipe with --config"),
        (["--detections", "nowhere.json", "b", "--config", "tiny.yaml"], "nowhere.json: no such file"),
        (["--detections", "a/detections", "b", "--config", "tiny.yaml", "--min-score", "nan"], "--min-score nan"),
        (["a", "b", "--out", "no/where"], "--out no/where: no such folder no"),
    ],
)
def test_what_cannot_be_compared_is_told_in_one_line(in_runs, capsys, words, told):
    assert told in refused(capsys, *words)


@pytest.fixture
def other(in_runs, tmp_path):
    """Makes a copy of the run b that was judged on other data, as its record of each test image tells."""

    def make(change):
        folder = tmp_path / "other"
        shutil.copytree("b", folder)
        content = load_file(folder / "plan.safetensors")
        save_file({**content, "TEST": change(content["TEST"].copy())}, folder / "plan.safetensors")
        return str(folder)

    return make


def test_runs_on_other_images_or_annotations_are_refused(other, capsys):
    def relabelled(rows):
        rows[3, 2] += 1
        return rows

    for change, told in (
        (lambda rows: rows[:4], "the list of images is another from test_000004 on: 6, was 4"),
        (relabelled, "the annotations of test_000003 changed"),
    ):
        folder = other(change)
        line = refused(capsys, "a", folder)
        assert line == f"detkit compare: {folder}: not the test data of a: {told}; compare runs on one test split"
        assert refused(capsys, folder, "a").endswith(f"changed since it ran: {told}; compare runs on one test split")
        shutil.rmtree(folder)


def test_runs_of_other_classes_are_refused(in_runs, capsys, monkeypatch):
    names = iter([("cat", "dog"), ("dog", "cat")])
    monkeypatch.setattr(compare_sides, "Datasets", lambda config: lambda role: SimpleNamespace(class_names=next(names)))
    assert "b: its classes (dog, cat) are not those of a (cat, dog)" in refused(capsys, "a", "b")


def test_a_run_that_has_detected_nothing_is_named(other, capsys):
    folder = other(lambda rows: rows)
    shutil.rmtree(Path(folder, "detections"))
    assert f"{folder}: nothing was detected yet; run: detkit train --config {folder}/config.yaml" in refused(
        capsys, "a", folder
    )
