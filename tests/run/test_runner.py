from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import detkit
from detkit.backbones.tiny import TinyNet
from detkit.backbones.weights import save_weights
from detkit.cli.main import main
from detkit.config import load_config
from detkit.data.images import read_image
from detkit.regions.network import RegionNetwork
from detkit.run.artifacts import ArtifactStore
from detkit.run.datasets import Datasets
from detkit.run.kinds import DETECTIONS_FILE, UNREFINED_FILE
from detkit.run.runner import Run
from detkit.stages import propose as propose_stage
from detkit.stages.detect import load_detections


def train(recipe: Path, *words: str) -> int:
    return main(["train", "--config", str(recipe), *words])


def finished(root: Path = Path("artifacts")) -> dict[str, int]:
    """Every finished artefact with the time at which it was made."""
    return {str(p.parent.relative_to(root)): p.stat().st_mtime_ns for p in root.glob("*/*/manifest.json")}


def detections(root: Path) -> bytes:
    (found,) = root.glob(f"detect/*/{DETECTIONS_FILE}")
    return found.read_bytes()


def tuned_alone(*roots: str) -> None:
    """Makes folders of artefacts that hold the tuned network and what it needs, and nothing that is made of it."""
    for root in roots:
        for stage in ("pretrain", "propose", "finetune"):
            shutil.copytree(Path("artifacts", stage), Path(root, stage))


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
    assert "finished already" in capsys.readouterr().out
    assert main(["compare", "runs/tiny", "runs/tiny"]) == 0
    assert "A: runs/tiny\nB: runs/tiny\n\nVOC07" in capsys.readouterr().out
    assert finished() == made
    assert not list(Path().rglob("*.partial"))


def test_model_folder_detects_what_the_run_detected(trained):
    train(trained, "POSTPROCESS.TOP_PER_CLASS=0")
    detector = detkit.load("runs/tiny/model")
    detector.settings = type(detector.settings)()
    images = json.loads(Path("runs/tiny/detections/detections.json").read_text())
    sample = Datasets(load_config(trained))("TEST")[0]
    found = detector.detect(read_image(sample.path), min_score=-100.0)
    own = sorted((d for d in images if d["image_id"] == sample.image_id), key=lambda d: -d["score"])
    assert len(own) == len(found) > 0
    for thing, score, label, box in zip(own, found.scores.tolist(), found.labels.tolist(), found.boxes, strict=True):
        x, y, width, height = thing["bbox"]
        assert thing["score"] == pytest.approx(score, abs=1e-5)
        assert thing["category_id"] == label + 1
        assert [x, y, x + width, y + height] == pytest.approx(box.tolist(), abs=1e-3)


def test_the_cap_over_the_set_is_that_of_all_candidates_of_a_class(trained):
    def detected(name, *settings):
        """The detections of the six images under these settings."""
        before = set(Path("artifacts").glob(f"detect/*/{name}"))
        train(trained, "--until", "Detect", *(f"POSTPROCESS.{setting}" for setting in settings))
        (new,) = set(Path("artifacts").glob(f"detect/*/{name}")) - before
        return load_detections(new)

    # Boxes of proposals, where an IoU of 1 suppresses nothing: every candidate.
    candidates = detected(UNREFINED_FILE, "TOP_PER_CLASS=0", "NMS_IOU=1")
    uncapped = detected(DETECTIONS_FILE, "TOP_PER_CLASS=0")
    capped = detected(DETECTIONS_FILE, "TOP_PER_CLASS=1")
    scores, labels = (torch.cat([getattr(d, name) for d in candidates]) for name in ("scores", "labels"))
    for found, every in zip(capped, uncapped, strict=True):
        # Suppression goes by falling score, so what the cap takes away has suppressed nothing that is left.
        limits = [scores[labels == label].sort(descending=True).values[5] for label in every.labels]
        expected = every[torch.tensor([i for i, limit in enumerate(limits) if every.scores[i] >= limit], dtype=int)]
        for name in ("scores", "labels", "proposal_rows"):
            assert torch.equal(getattr(found, name), getattr(expected, name))
        assert torch.equal(found.boxes.tensor, expected.boxes.tensor)
    assert 0 < sum(map(len, capped)) < sum(map(len, uncapped))


def test_a_changed_setting_makes_only_what_depends_on_it_again(trained):
    before = finished()
    train(trained, "POSTPROCESS.NMS_IOU=0.4", "RUNTIME.BATCH=32")
    new = {name.split("/")[0] for name in finished() if name not in before}
    assert new == {"calibrate", "detect", "evaluate"}
    old = finished()
    train(trained, "FINETUNE.LR=0.03", "FINETUNE.CHECKPOINT_EVERY=7")
    new = {name.split("/")[0] for name in finished() if name not in old}
    assert new == {"finetune", "extract", "classify", "regress", "calibrate", "detect", "evaluate"}


def test_interrupted_run_goes_on_and_ends_with_the_same_bits(trained, monkeypatch, capsys):
    whole = detections(Path("artifacts"))
    calls = []
    forward = RegionNetwork.forward

    def cut(self, inputs, layers):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return forward(self, inputs, layers)

    monkeypatch.setattr(RegionNetwork, "forward", cut)
    assert train(trained, "ARTIFACTS=again") == 130
    assert "goes on from here" in capsys.readouterr().err
    assert train(trained, "ARTIFACTS=again") == 0
    assert detections(Path("again")) == whole


def test_features_stored_and_computed_on_demand_give_the_same_classifiers_and_detections(trained):
    tuned_alone("stored", "streamed")
    train(trained, "FEATURES.ROLES=[TRAIN, TEST]", "ARTIFACTS=stored")
    train(trained, "FEATURES.STORE=stream", "ARTIFACTS=streamed")
    assert Path("stored/extract").is_dir()
    assert not Path("streamed/extract").exists()
    for name in ("classify", "regress"):
        (one,), (other,) = (list(Path(root, name).glob("*/*.safetensors")) for root in ("stored", "streamed"))
        assert one.parent.name == other.parent.name
        for key, tensor in load_file(one).items():
            assert tensor.equal(load_file(other)[key]), (name, key)
    assert detections(Path("stored")) == detections(Path("streamed"))


def test_until_stops_and_from_makes_the_rest_again(trained):
    train(trained, "--until", "propose", "ARTIFACTS=short")
    assert {name.split("/")[0] for name in finished(Path("short"))} == {"pretrain", "propose"}
    before = finished()
    train(trained, "--from", "classify")
    again = {name.split("/")[0] for name, at in finished().items() if before[name] != at}
    assert again == {"classify", "regress", "calibrate", "detect", "evaluate"}


def test_fresh_until_a_stage_leaves_the_later_results(trained):
    before = finished()
    assert train(trained, "--fresh", "--until", "propose") == 0
    after = finished()
    assert after.keys() == before.keys()
    assert {name.split("/")[0] for name, at in after.items() if before[name] != at} == {"pretrain", "propose"}


def test_stored_features_that_are_asked_for_are_made_though_their_readers_are_there(trained):
    before = finished()
    train(trained, "--from", "extract", "--until", "extract")
    assert {name.split("/")[0] for name, at in finished().items() if before[name] != at} == {"extract"}


def test_unknown_stage_is_answered_with_those_of_the_recipe(recipe, capsys):
    assert train(recipe, "--from", "clasify") == 2
    assert "Did you mean classify?" in capsys.readouterr().err


def test_stage_without_the_one_before_it_is_refused(recipe, capsys):
    assert train(recipe, "STAGES=[Pretrain, Finetune]") == 2
    told = "STAGES: Finetune needs proposals of FINETUNE, which no stage before it gives: [Pretrain, Finetune]"
    assert told in capsys.readouterr().err


def test_softmax_without_finetuning_is_refused_before_anything_runs(recipe, capsys):
    words = ["CLASSIFIER.NAME=Softmax", "STAGES=[Pretrain, Propose, Extract, Classify, Regress, Detect, Evaluate]"]
    assert train(recipe, *words) == 2
    assert "Softmax" in capsys.readouterr().err
    assert not Path("artifacts").exists()


def test_second_run_waits_for_the_artifact_that_the_first_is_making_and_uses_it(tmp_path):
    store, digest, seen = ArtifactStore(tmp_path), "ab" * 32, []

    def second():
        with store.make("Detect", digest, {}) as folder:
            seen.append(folder)

    other = threading.Thread(target=second)
    with store.make("Detect", digest, {}) as folder:
        assert folder is not None
        other.start()
        other.join(0.2)
        assert other.is_alive()
    other.join()
    assert seen == [None]


def test_softmax_and_a_head_that_reads_nothing_need_no_stored_features(trained):
    shutil.rmtree("artifacts/extract")
    words = ["FEATURES.ROLES=[TRAIN]", "FEATURES.LAYERS=[]"]
    assert train(trained, "CLASSIFIER.NAME=Softmax", *words) == 0
    assert train(trained, "BOX_HEAD.NAME=Identity", "BOX_HEAD.LAYER=pool5", *words) == 0


def test_features_that_were_removed_are_not_made_again_while_their_readers_are_there(trained, capsys):
    shutil.rmtree("artifacts/extract")
    assert train(trained) == 0
    assert "finished already" in capsys.readouterr().out
    assert not Path("artifacts/extract").exists()


def test_fewer_training_boxes_are_drawn_alike_whether_features_are_stored_or_computed(trained):
    tuned_alone("stored", "streamed")
    train(trained, "PROPOSALS.TRAIN_MAX_BOXES=9", "FEATURES.ROLES=[TRAIN]", "ARTIFACTS=stored")
    train(trained, "PROPOSALS.TRAIN_MAX_BOXES=9", "FEATURES.STORE=stream", "ARTIFACTS=streamed")
    assert detections(Path("stored")) == detections(Path("streamed"))
    file = next(Path("stored").glob("extract/*/000000.safetensors"))
    assert len(load_file(file)["fc7"]) <= 9 + 4  # with at most four ground truths


def test_outputs_of_another_config_do_not_stay_beside_the_new_one(trained):
    assert train(trained, "POSTPROCESS.NMS_IOU=0.5", "--until", "Detect") == 0
    results = json.loads(Path("runs/tiny/results.json").read_text(encoding="utf-8"))
    assert results.keys() == {"data", "pretrain"}
    assert Path("runs/tiny/model/model.yaml").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["BACKBONE.WEIGHTS=other.safetensors"], "but TinyNet needs"),
        (["BACKBONE.WEIGHTS=torchvision:DEFAULT"], "torchvision has none for this backbone"),
        (["PROPOSALS.NAME=Precomputed"], "Precomputed.PATH: not set"),
        (["PROPOSALS.NAME=Precomputed", "PROPOSALS.Precomputed.PATH=gone"], "Precomputed.PATH: gone does not exist"),
    ],
)
def test_a_mistake_in_weights_or_proposals_costs_no_earlier_output(trained, capsys, words, message):
    save_weights(Path("other.safetensors"), TinyNet(width=9))
    results = Path("runs/tiny/results.json").read_bytes()
    assert train(trained, *words) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
    assert Path("runs/tiny/results.json").read_bytes() == results
    assert Path("runs/tiny/model/model.yaml").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["REGION_EXTRACTOR.NAME=SharedMap"], "use ImageCentric"),
        (["REGION_EXTRACTOR.WarpedCrops.PADDING=30"], "PADDING"),
        (["EVALUATION.VOC.IOU=[]"], "IOU"),
        (["CLASSIFIER.LinearSVM.EVICT_BELOW=0"], "EVICT_BELOW"),
        (
            ["CLASSIFIER.NAME=Softmax", "CLASSIFIER.LAYER=fc6"],
            "needs a network with the head class on fc6 (Softmax takes it over; CLASSIFIER.LAYER",
        ),
        (["FEATURES.LAYERS=[fc6]"], "leaves out fc7, which CLASSIFIER reads"),
        (["--from", "Classify", "--until", "Extract"], "in the other order"),
    ],
)
def test_settings_that_do_not_fit_each_other_are_refused_before_anything_runs(recipe, capsys, words, message):
    assert train(recipe, *words) == 2
    err = capsys.readouterr().err
    assert message in err
    assert not Path("artifacts").exists()


def test_damaged_model_folder_is_one_line(trained, capsys):
    model = Path("runs/tiny/model")
    image = str(Datasets(load_config(trained))("TEST")[0].path)
    (model / "classifier.safetensors").write_bytes(b"x")
    assert main(["detect", "--model", str(model), image]) == 2
    assert "classifier.safetensors: missing or damaged" in capsys.readouterr().err
    text = (model / "model.yaml").read_text()
    (model / "model.yaml").write_text(text.replace("NAME: LinearSVM", "NAME: Mine"))
    assert main(["detect", "--model", str(model), image]) == 2
    assert "its classifier Mine is not registered here" in capsys.readouterr().err
    (model / "model.yaml").write_text("class_names: [a]\n")
    assert main(["detect", "--model", str(model), image]) == 2
    assert "missing; export it again" in capsys.readouterr().err


def test_layer_that_the_backbone_does_not_have_names_the_nearest(recipe, capsys):
    assert train(recipe, "CLASSIFIER.LAYER=fc77") == 2
    assert "TinyNet has no layer 'fc77'. Did you mean fc7?" in capsys.readouterr().err


SHORT = ["STAGES=[Pretrain, Propose, Finetune]", "BACKBONE.WEIGHTS=random", "--until", "Propose"]


def test_an_image_that_is_replaced_after_planning_ends_the_run_and_leaves_nothing(recipe, monkeypatch, capsys):
    sample = Datasets(load_config(recipe))("FINETUNE")[3]
    propose = propose_stage.propose_many

    def late(*given):
        yield from propose(*given)
        cv2.imwrite(str(sample.path), np.zeros((*sample.size, 3), np.uint8))

    monkeypatch.setattr(propose_stage, "propose_many", late)
    assert train(recipe, *SHORT) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith(f"detkit train: {sample.path}: this image was changed after the run had started")
    assert not [path for path in Path("artifacts/propose").iterdir() if path.is_dir()]
    monkeypatch.setattr(propose_stage, "propose_many", propose)
    assert train(recipe, *SHORT) == 0


def test_stages_that_must_not_look_at_annotations_see_none(recipe):
    run = Run.of(load_config(recipe), "r")
    blind = {"propose finetune", "propose train", "propose test", "extract test", "detect test"}
    for step in run.steps:
        for role in step.data:
            assert (step.dataset(role)[0].annotations is None) == (step.label in blind), step.label
