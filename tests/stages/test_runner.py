from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file

import detkit
from detkit.cli.main import main
from detkit.config import load_config
from detkit.data.images import read_image
from detkit.errors import DetkitError
from detkit.regions.network import RegionNetwork
from detkit.stages.detect import DETECTIONS
from detkit.stages.plan import Datasets


def train(recipe: Path, *words: str) -> int:
    return main(["train", "--config", str(recipe), *words])


def finished(root: Path = Path("artifacts")) -> dict[str, int]:
    """Every finished artefact with the time at which it was made."""
    return {str(p.parent.relative_to(root)): p.stat().st_mtime_ns for p in root.glob("*/*/manifest.json")}


def detections(root: Path) -> bytes:
    (found,) = root.glob(f"detect/*/{DETECTIONS}")
    return found.read_bytes()


def test_a_run_leaves_results_model_detections_and_pictures_and_ends_at_once_the_second_time(recipe, capsys):
    assert train(recipe) == 0
    run = Path("runs/tiny")
    results = json.loads((run / "results.json").read_text())
    assert results["dataset"] == "Shapes"
    assert results["split"] == "test"
    assert results["num_images"] == 6
    assert 0 <= results["metrics"]["VOC07"]["mAP"] <= 1
    assert set(results["metrics_before_box_head"]["VOC07"]["AP"]) == set(results["metrics"]["VOC07"]["AP"])
    for name in ("config.yaml", "env.json", "log.txt", "metrics.jsonl", "pictures.png", "model/model.yaml"):
        assert (run / name).is_file(), name
    assert list((run / "detections").glob("comp4_det_test_*.txt"))
    made = finished()
    assert "mAP" in capsys.readouterr().out

    assert train(recipe) == 0
    assert "finished before" in capsys.readouterr().out
    assert finished() == made
    assert not list(Path().rglob("*.partial"))


def test_model_folder_detects_what_the_run_detected(recipe):
    train(recipe, "POSTPROCESS.TOP_PER_CLASS=0")
    detector = detkit.load("runs/tiny/model")
    detector.settings = type(detector.settings)()
    images = json.loads(Path("runs/tiny/detections/detections.json").read_text())
    sample = Datasets(load_config(recipe))("TEST")[0]
    found = detector.detect(read_image(sample.path), min_score=-100.0)
    own = sorted((d["score"] for d in images if d["image_id"] == sample.image_id), reverse=True)
    assert len(own) == len(found) > 0
    assert [round(s, 4) for s in found.scores.tolist()] == [round(s, 4) for s in own]


def test_a_changed_setting_makes_only_what_depends_on_it_again(recipe):
    train(recipe)
    before = finished()
    train(recipe, "POSTPROCESS.NMS_IOU=0.4", "RUNTIME.BATCH=32")
    new = {name.split("/")[0] for name in finished() if name not in before}
    assert new == {"detect", "evaluate"}
    train(recipe, "FINETUNE.LR=0.02")
    new = {name.split("/")[0] for name in finished()} - {"x"}
    assert sum(name.startswith("propose/") for name in finished()) == sum(n.startswith("propose/") for n in before)
    assert sum(name.startswith("finetune/") for name in finished()) == 2


def test_interrupted_run_goes_on_and_ends_with_the_same_bits(recipe, monkeypatch, capsys):
    train(recipe)
    whole = detections(Path("artifacts"))
    calls = []
    forward = RegionNetwork.forward

    def cut(self, inputs, layers):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return forward(self, inputs, layers)

    monkeypatch.setattr(RegionNetwork, "forward", cut)
    assert train(recipe, "ARTIFACTS=again") == 130
    assert "goes on from here" in capsys.readouterr().err
    assert train(recipe, "ARTIFACTS=again") == 0
    assert detections(Path("again")) == whole


def test_features_stored_and_computed_on_demand_give_the_same_classifiers_and_detections(recipe):
    train(recipe, "FEATURES.STORE=[TRAIN, TEST]", "ARTIFACTS=stored")
    train(recipe, "FEATURES.STORE=[]", "ARTIFACTS=streamed")
    assert Path("stored/extract").is_dir()
    assert not Path("streamed/extract").exists()
    for name in ("classify", "regress"):
        (one,), (other,) = (list(Path(root, name).glob("*/*.safetensors")) for root in ("stored", "streamed"))
        assert one.parent.name == other.parent.name
        for key, tensor in load_file(one).items():
            assert tensor.equal(load_file(other)[key]), (name, key)
    assert detections(Path("stored")) == detections(Path("streamed"))


def test_until_stops_and_from_makes_the_rest_again(recipe):
    train(recipe, "--until", "propose")
    assert {name.split("/")[0] for name in finished()} == {"pretrain", "propose"}
    train(recipe)
    before = finished()
    train(recipe, "--from", "classify")
    again = {name.split("/")[0] for name, at in finished().items() if before[name] != at}
    assert again == {"classify", "regress", "detect", "evaluate"}


def test_unknown_stage_is_answered_with_those_of_the_recipe(recipe, capsys):
    assert train(recipe, "--from", "clasify") == 2
    assert "Did you mean Classify?" in capsys.readouterr().err


def test_stage_without_the_one_before_it_is_refused(recipe, capsys):
    assert train(recipe, "STAGES=[Pretrain, Finetune]") == 2
    assert "Finetune needs Propose before it" in capsys.readouterr().err


def test_softmax_without_finetuning_is_refused_before_anything_runs(recipe, capsys):
    words = ["CLASSIFIER.NAME=Softmax", "STAGES=[Pretrain, Propose, Extract, Classify, Regress, Detect, Evaluate]"]
    assert train(recipe, *words) == 2
    assert "Softmax" in capsys.readouterr().err
    assert not Path("artifacts").exists()


def test_two_runs_that_need_the_same_artifact_make_it_once(recipe):
    train(recipe, "OUTPUT_DIR=a", "--until", "propose")
    made = finished()
    train(recipe, "OUTPUT_DIR=b", "--until", "propose")
    assert finished() == made


def test_layer_that_the_backbone_does_not_have_names_the_nearest(recipe, capsys):
    assert train(recipe, "CLASSIFIER.LAYER=fc77") == 2
    assert "TinyNet has no layer 'fc77'. Did you mean fc7?" in capsys.readouterr().err


def test_debug_shows_the_mistake_itself(recipe):
    with pytest.raises(DetkitError):
        train(recipe, "--debug", "SEED=-1")
