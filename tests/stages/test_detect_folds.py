"""Detections of training images by parts that have not learnt from them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from detkit.cli.main import main
from detkit.config import load_config
from detkit.errors import ConfigError
from detkit.run.givers import planned_stages
from detkit.stages.detect import Detect, load_detections
from detkit.stages.detect_folds import DetectFolds
from detkit.study.ablation import in_folds

SMALL = (
    "PRETRAIN.ITERATIONS=2",
    "FINETUNE.ITERATIONS=2",
    "DATA.Shapes.TRAIN_IMAGES=6",
    "DATA.Shapes.TEST_IMAGES=2",
    "PRETRAIN_DATA.Shapes.TRAIN_IMAGES=8",
    "PRETRAIN_DATA.Shapes.VAL_IMAGES=4",
    "PROPOSALS.SelectiveSearch.MODE=single",
    "PROPOSALS.TRAIN_MAX_BOXES=30",
    "CALIBRATE.FOLDS=0",
    "HELD_OUT.FOLDS=2",
    "COMPUTE.DTYPE=float32",
    "RUNTIME.WORKERS=0",
)


def test_ablate_judges_every_training_image_and_needs_no_test_image(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DETKIT_CACHE", str(tmp_path / "cache"))
    words = ["POSTPROCESS.VOTE_IOU=null,0.5", "POSTPROCESS.VOTE_SLOPE=3", f"OUTPUT_DIR={tmp_path / 'out'}", *SMALL]
    assert main(["ablate", "--folds", "--config", "projects/rcnn/quick.yaml", *words]) == 0
    told = capsys.readouterr().out
    assert "IoU 0.5" in told and "IoU 0.7" in told and "VOTE_IOU=0.5" in told
    made = sorted(path.name for path in (tmp_path / "cache" / "artifacts").iterdir())
    assert "detectfolds" in made and "evaluate" not in made and "detect" not in made
    for folder in (tmp_path / "cache" / "artifacts" / "detectfolds").glob("*/"):
        assert len(load_detections(folder / "detections.safetensors")) == 6
    answer = json.loads(next((tmp_path / "out").rglob("*.json")).read_text())
    assert len(answer["tables"]) == 2


def test_classifiers_of_several_settings_learn_together_and_detect_as_if_alone(trained, caplog):
    caplog.set_level("INFO")
    name, config = "CLASSIFIER.LinearSVM.C", ["--config", str(trained), "HELD_OUT.FOLDS=2"]
    assert main(["ablate", "--folds", f"{name}=0.002,0.02", *config]) == 0
    assert "detectfolds train: 2 settings in one pass" in caplog.messages
    told = json.loads((Path("runs/tiny/ablate") / name / "answer.json").read_text())
    folders = [Path("artifacts/detectfolds") / one["steps"]["detectfolds train"] for one in told["settings"]]
    together = [(folder / "detections.safetensors").read_bytes() for folder in folders]
    shutil.rmtree(folders[1])
    assert main(["ablate", "--folds", f"{name}=0.02,0.002", *config]) == 0
    assert [(folder / "detections.safetensors").read_bytes() for folder in folders] == together
    assert together[0] != together[1]


def test_a_recipe_that_has_the_stage_is_left_as_it_is():
    words = ["STAGES=[Pretrain,Propose,DetectFolds]"]
    assert in_folds("projects/rcnn/quick.yaml", words) == []
    assert in_folds("projects/rcnn/quick.yaml", ["STAGES=[Propose]"]) == ["STAGES=[Propose, DetectFolds]"]


def test_a_single_fold_is_refused():
    config = load_config("projects/rcnn/quick.yaml", ["HELD_OUT.FOLDS=1"])
    with pytest.raises(ConfigError, match=r"HELD_OUT\.FOLDS: 1 leaves no images to learn from; give 2 or more"):
        DetectFolds().check(config)
    assert planned_stages(config)


@pytest.mark.parametrize("stage", [Detect(), DetectFolds()], ids=["test", "folds"])
def test_votes_that_margins_would_weigh_are_refused(stage):
    config = load_config("projects/rcnn/quick.yaml", ["POSTPROCESS.VOTE_IOU=0.5"])
    with pytest.raises(ConfigError, match=r"VOTE_IOU: 0\.5 .* of LinearSVM are margins.*set POSTPROCESS\.VOTE_SL"):
        stage.check(config)
    for words in (["CLASSIFIER.NAME=Softmax"], ["POSTPROCESS.VOTE_SLOPE=3"]):
        stage.check(load_config("projects/rcnn/quick.yaml", ["POSTPROCESS.VOTE_IOU=0.5", *words]))
