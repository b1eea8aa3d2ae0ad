from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
import yaml

import detkit
from detkit.backbones.torchvision_nets import TorchvisionBackbone
from detkit.cli.main import main
from detkit.config import load_config
from detkit.run.datasets import Datasets
from detkit.run.plan import plan
from detkit.structures.state import read_tensors
from detkit.system.compute import Compute

FOLDER = Path(__file__).resolve().parents[3] / "projects/fast_rcnn"
RECIPES = sorted(p.name for p in FOLDER.glob("[a-z]*.yaml"))
PHOTOGRAPHS = (
    "mobilenet.yaml",
    "photographs.yaml",
    "photographs_fast.yaml",
    "photographs_svm.yaml",
    "squeezenet.yaml",
)
"""Differences of these are rows of the README."""
README = (FOLDER / "README.md").read_text(encoding="utf-8")
KEYS = re.findall(r"`([A-Z][A-Z_]+(?:\.\w+)+): ([^`]+)`", README)
SMALL = (
    "DATA.Shapes.TRAIN_IMAGES=6",
    "DATA.Shapes.TEST_IMAGES=3",
    "BACKBONE.WEIGHTS=random",
    "FINETUNE.ITERATIONS=3",
    "PROPOSALS.SelectiveSearch.MODE=single",
    "RUNTIME.WORKERS=0",
    "RUNTIME.REPORT=false",
    "COMPUTE.DTYPE=float32",
    "OUTPUT_DIR=run",
    "ARTIFACTS=artifacts",
)
COMPRESSED = "STAGES=[Pretrain,Propose,Finetune,Compress,Classify,Regress,Detect,Evaluate]"


def test_the_recipes_are_there_and_the_readme_names_them():
    assert RECIPES == [
        "alexnet.yaml",
        "mobilenet.yaml",
        "photographs.yaml",
        "photographs_fast.yaml",
        "photographs_svm.yaml",
        "quick.yaml",
        "squeezenet.yaml",
        "vgg16.yaml",
    ]
    assert set(RECIPES) <= set(re.findall(r"`(\w+\.yaml)`", README))


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_has_the_papers_constants(name):
    config = load_config(FOLDER / name)
    drawn = config.REGION_SAMPLER.Hierarchical
    images, least = (4, 0) if name in PHOTOGRAPHS else (2, 0.1)
    assert (drawn.IMAGES_PER_BATCH, drawn.BATCH_SIZE) == (images, 128)
    assert (drawn.FOREGROUND_FRACTION, drawn.BACKGROUND_FROM) == (0.25, least)
    pooled, learnt, solver = config.REGION_EXTRACTOR.RoIPool, config.OBJECTIVE.MultiTask, config.FINETUNE
    assert (learnt.BOX_WEIGHT, learnt.SIGMA, learnt.BOX_STD, solver.HEAD_STD) == (1, 1, 0.001, 0.01)
    assert (solver.HEAD_LR_FACTOR, solver.BIAS_LR_FACTOR, solver.MOMENTUM, solver.WEIGHT_DECAY) == (1, 2, 0.9, 0.0005)
    classifier = "LinearSVM" if name == "photographs_svm.yaml" else "Softmax"
    assert (config.CLASSIFIER.NAME, config.BOX_HEAD.NAME, config.POSTPROCESS.NMS_IOU) == (classifier, "TunedBoxes", 0.3)
    if name in PHOTOGRAPHS:
        scales = ([224, 450], 800) if name == "photographs_fast.yaml" else ([224, 400, 700], 1200)
        assert (list(pooled.SHORT_SIDES), pooled.LONG_SIDE, pooled.POOL) == (*scales, "align")
    elif name != "quick.yaml":
        assert (list(pooled.SHORT_SIDES), pooled.LONG_SIDE, pooled.POOL) == ([600], 1000, "max")
    if name in ("alexnet.yaml", "vgg16.yaml"):
        assert (solver.ITERATIONS, solver.LR, solver.LR_DROP_EVERY, solver.LR_GAMMA) == (40000, 0.001, 30000, 0.1)


@pytest.mark.parametrize("name, frozen", [("vgg16", 4), ("alexnet", 1)])
def test_lower_convolutions_stay_as_published(name, frozen):
    first = load_config(FOLDER / f"{name}.yaml").FINETUNE.TUNE_FROM
    with torch.device("meta"):
        layers = [key for key, _ in TorchvisionBackbone(arch=name).named_parameters() if key.endswith(".weight")]
    assert layers[frozen] == f"{first}.weight"


@pytest.mark.parametrize(("key", "value"), dict.fromkeys(KEYS), ids=": ".join)
def test_a_key_takes_the_value_that_the_readme_gives_it(key, value):
    found = load_config(FOLDER / "quick.yaml", [f"{key}={value}"])
    for word in key.split("."):
        found = found[word]
    assert found == yaml.safe_load(value)


def test_the_network_is_tuned_again_with_a_wider_window():
    def digest(*words):
        config = load_config(FOLDER / "quick.yaml", words)
        steps = plan(config, Datasets(config), Compute.resolve(dtype="float32", device="cpu"))
        return next(step.digest for step in steps if step.id == "Finetune")

    assert digest() != digest("REGION_EXTRACTOR.RoIPool.WIDER=1.8")


@pytest.mark.slow
def test_quick_trains_compresses_and_detects(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = str(FOLDER / "quick.yaml")
    assert main(["train", "--config", recipe, *SMALL]) == 0
    plain = json.loads(Path("run/results.json").read_text())["metrics"]["VOC07"]
    assert plain["mAP"] >= 0 and not list(Path("artifacts").glob("extract*"))
    (tuned,) = Path("artifacts").glob("finetune/*/heads.safetensors")
    heads, num_classes = read_tensors(tuned), len(plain["AP"])
    assert heads["class.weight"].shape == (num_classes + 1, 256) and heads["box.weight"].shape == (4 * num_classes, 256)
    assert main(["train", "--config", recipe, *SMALL, COMPRESSED, "COMPRESS.RANKS=[16,8]", "OUTPUT_DIR=small"]) == 0
    assert main(["train", "--config", recipe, *SMALL, COMPRESSED, "COMPRESS.RANKS=[256,256]", "OUTPUT_DIR=full"]) == 0
    assert Path("small/model/network.safetensors").stat().st_size < Path("run/model/network.safetensors").stat().st_size
    image = str(next(Path("run").rglob("*.png")))
    found = {run: detkit.load(f"{run}/model", device="cpu").detect(image, 0.0) for run in ("run", "small", "full")}
    assert len(found["small"]) > 0
    torch.testing.assert_close(found["run"].scores, found["full"].scores, rtol=0, atol=1e-3)


def test_moved_regions_are_refused_before_anything_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "--config", "projects/fast_rcnn/quick.yaml", *SMALL, "FINETUNE.JITTER_BOXES=0.1"]) == 2
    assert "FINETUNE.JITTER_BOXES: 0.1, but MultiTask learns where regions are" in capsys.readouterr().err
    assert not Path("artifacts").exists() and not Path("runs").exists()
