"""A recipe that only pre-trains, from its folders of pictures to a detector that takes its weights."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from detkit.backbones.tiny import TinyNet
from detkit.backbones.weights import load_weights
from detkit.cli.main import main
from detkit.config import load_config
from detkit.run.runner import Run
from detkit.training import solver

COLOURS = {"blue": (200, 40, 40), "green": (40, 200, 40), "red": (40, 40, 200)}
RECIPE = """
_BASE_: projects/rcnn/alexnet_imagenet.yaml
PRETRAIN_DATA: {ImageFolders: {ROOT: pictures}}
BACKBONE: {NAME: TinyNet, TinyNet: {WIDTH: 8, FC_DIM: 16, INPUT_SIZE: 48, DROPOUT: 0.5}}
PRETRAIN: {ITERATIONS: 5, RESIZE: 54, BATCH_SIZE: 4, CHECKPOINT_EVERY: 2}
RUNTIME: {WORKERS: 0, REPORT: false}
ARTIFACTS: artifacts
"""
WEIGHTS = Path("runs/colours/weights.safetensors")


@pytest.fixture
def colours(tmp_path, monkeypatch):
    """A recipe on three classes of noisy one-coloured pictures, in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    for split, count in (("train", 3), ("val", 2)):
        for name, colour in COLOURS.items():
            folder = Path("pictures", split, name)
            folder.mkdir(parents=True)
            for i in range(count):
                noise = np.random.default_rng(i).integers(-30, 30, (40, 60, 3))
                cv2.imwrite(str(folder / f"{i}.png"), np.clip(colour + noise, 0, 255).astype(np.uint8))
    path = Path("colours.yaml")
    path.write_text(RECIPE, encoding="utf-8")
    return path


def train(path, *words):
    return main(["train", "--config", str(path), *words])


def test_a_recipe_of_pretraining_alone_plans_and_reads_nothing_else(colours):
    run = Run.of(load_config(colours), "colours")
    assert [step.label for step in run.steps] == ["pretrain"]
    assert list(run.data()) == ["PRETRAIN_DATA.TRAIN", "PRETRAIN_DATA.VAL"]


def test_it_leaves_its_accuracy_and_its_weights_with_their_preprocessing(colours, capsys):
    assert train(colours) == 0
    results = json.loads(Path("runs/colours/results.json").read_text())
    found = results["pretrain"]
    assert (found["dataset"], found["split"], found["num_images"]) == ("ImageFolders", "val", 6)
    assert found["top1"] in [n / 6 for n in range(7)]
    assert found["top5"] == 1.0  # of three classes
    assert "metrics" not in results
    out = capsys.readouterr().out
    assert "top5        100.0" in out
    assert f"BACKBONE.WEIGHTS={WEIGHTS}" in out
    net = TinyNet(width=8, fc_dim=16, input_size=48)
    load_weights(net, str(WEIGHTS))
    assert (net.preprocessing.order, net.preprocessing.mean.tolist()) == ("RGB", [0.5, 0.5, 0.5])
    made = WEIGHTS.read_bytes()
    assert train(colours) == 0
    assert "finished already" in capsys.readouterr().out
    assert WEIGHTS.read_bytes() == made


def test_an_interrupted_run_ends_with_the_same_bits(colours, monkeypatch):
    train(colours)
    whole = load_file(WEIGHTS)
    step, calls = solver.CaffeSGD.step, []

    def cut(self, lr):
        calls.append(lr)
        if len(calls) == 4:
            raise KeyboardInterrupt
        step(self, lr)

    monkeypatch.setattr(solver.CaffeSGD, "step", cut)
    again = ["ARTIFACTS=again", "OUTPUT_DIR=again"]
    assert train(colours, *again) == 130
    assert not Path("again/weights.safetensors").exists()
    assert train(colours, *again) == 0
    assert len(calls) == 4 + 3  # three whole steps and the cut one; then on from the checkpoint of step 2
    resumed = load_file("again/weights.safetensors")
    assert resumed.keys() == whole.keys()
    assert all(torch.equal(t, whole[name]) for name, t in resumed.items())


def test_a_detector_recipe_takes_the_weights_and_leaves_out_the_old_classes(colours, recipe):
    train(colours)
    with_head = {**load_file(WEIGHTS), "fc8.weight": torch.zeros(3, 16), "fc8.bias": torch.zeros(3)}
    save_file(with_head, "with_head.safetensors")
    for spec in (str(WEIGHTS), "with_head.safetensors"):
        assert train(recipe, f"BACKBONE.WEIGHTS={spec}", "--until", "finetune", "OUTPUT_DIR=runs/detector") == 0
        run = Run.of(load_config(recipe, [f"BACKBONE.WEIGHTS={spec}"]), "detector")
        loaded = load_file(run.result(run.steps[0]) / "network.safetensors")
        assert loaded.keys() == load_file(WEIGHTS).keys()
        assert all(torch.equal(t, loaded[name]) for name, t in load_file(WEIGHTS).items())
        assert load_file(run.find("network") / "heads.safetensors")["class.bias"].shape == (
            5,
        )  # four shapes, background
        assert not Path("runs/detector/weights.safetensors").exists()


def test_a_detector_that_pretrains_reports_both(trained, capsys):
    assert train(trained) == 0
    results = json.loads(Path("runs/tiny/results.json").read_text())
    assert results["pretrain"]["num_images"] == 8
    assert "VOC07" in results["metrics"]
    out = capsys.readouterr().out
    assert "pretrain" in out and "mAP" in out
    assert Path("runs/tiny/weights.safetensors").is_file()


def empty_class(root):
    (root / "train/violet").mkdir()


def unknown_class(root):
    (root / "train/red").rename(root / "train/crimson")


@pytest.mark.parametrize(
    ("change", "words", "message"),
    [
        (None, ["PRETRAIN_DATA.ImageFolders.ROOT=nowhere"], "no folder nowhere"),
        (None, ["PRETRAIN_DATA.VAL=test"], "no split 'test' in pictures. There is: train, val"),
        (empty_class, [], "pictures/train/violet: no image in the folder of this class"),
        (unknown_class, [], "class red of validation image pictures/val/red/0.png has no training image"),
        (None, ["PRETRAIN.RESIZE=47"], "PRETRAIN.RESIZE: 47 is smaller than the 48 px crops"),
        (None, ["BACKBONE.NAME=CaffeNet", "BACKBONE.CaffeNet.INPUT_SIZE=50"], "50 is too small; allowed: 55 or more"),
    ],
)
def test_mistakes_are_one_line_before_anything_runs(colours, capsys, change, words, message):
    if change:
        change(Path("pictures"))
    assert train(colours, *words) == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1
    assert not Path("artifacts").exists()
