from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import detkit
from detkit.errors import ConfigError, ModelError
from detkit.report.whole_runs import words_of
from detkit.run.stored import stored


def test_one_call_trains_one_evaluates_and_one_loads(trained):
    run = detkit.train(trained)
    assert run.folder == Path("runs/tiny")
    assert run.results == json.loads(Path("runs/tiny/results.json").read_text())
    assert run.lines[-1] == "everything of this run: runs/tiny"
    found = run.load(device="cpu").detect(np.zeros((60, 80, 3), np.uint8))
    assert found.class_names == ("cross", "disc", "square", "triangle")
    again = detkit.evaluate(trained, {"EVALUATION.VOC.IOU": (0.5, 0.3)})
    assert again["metrics"]["VOC07"] == run.results["metrics"]["VOC07"] and "VOC07@0.3" in again["metrics"]
    (users,) = [one.runs for one in stored(Path("artifacts")) if one.stage == "detect"]
    assert Path("runs/tiny").resolve() in users  # beside the run that the fixture has copied


def test_evaluating_again_keeps_what_stands_behind_the_evaluation(trained):
    stages = ["Pretrain", "Propose", "Finetune", "Extract", "Classify", "Regress", "Detect", "Evaluate", "DetectFolds"]
    words = {"STAGES": stages, "HELD_OUT.FOLDS": 2}
    detkit.train(trained, words)
    (folds,) = Path("artifacts/detectfolds").glob("*/manifest.json")
    made = folds.stat().st_mtime_ns
    detkit.evaluate(trained, words)
    assert folds.stat().st_mtime_ns == made


def test_detection_files_are_evaluated_in_one_call(trained):
    run = json.loads(Path("runs/tiny/results.json").read_text())
    found = detkit.evaluate(trained, detections="runs/tiny/detections")
    assert found["metrics"]["VOC07"]["mAP"] == pytest.approx(run["metrics"]["VOC07"]["mAP"], abs=1e-6)


def test_what_was_not_detected_cannot_be_evaluated(recipe):
    with pytest.raises(ModelError, match="nothing was detected yet; run: detkit train --config"):
        detkit.evaluate(recipe)
    with pytest.raises(ConfigError, match="stage 'detct' is not in this recipe"):
        detkit.train(recipe, last="detct")


def test_overrides_are_values_or_words():
    values = {"FINETUNE.LR": 0.01, "DATA.VOC.ROOT": Path("a b"), "STAGES": ("Propose", Path("x")), "DATA.VAL": ""}
    assert words_of(values) == ["FINETUNE.LR=0.01", "DATA.VOC.ROOT=a b", "STAGES=[Propose, x]", "DATA.VAL=''"]
    assert words_of(["A=1", "B", "2"]) == ["A=1", "B", "2"]
