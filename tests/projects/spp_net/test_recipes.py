from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from detkit.backbones.shapes import shape_of_network
from detkit.cli.main import main
from detkit.config import load_config
from detkit.training.freeze import freeze_before
from tests.fresh import run_fresh
from tests.projects.deviations import differences

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "projects/spp_net"
README = (FOLDER / "README.md").read_text(encoding="utf-8")
RECIPES = sorted(path.name for path in FOLDER.glob("[a-z]*.yaml"))
FOUND = differences(README)
ENDS = [list(one.values())[-1] for one in FOUND]
KEYS = [pair for end in ENDS for pair in re.findall(r"`([A-Z][A-Z_]+(?:\.\w+)+): ([^`]+)`", end)]


def test_readme_names_all_recipes():
    assert RECIPES == ["alexnet_svm.yaml", "mobilenet_svm.yaml", "quick.yaml", "squeezenet_svm.yaml"]
    assert all(f"`{name}`" in README.partition("## From the paper")[0] for name in RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_have_the_published_constants(name):
    config = load_config(FOLDER / name)
    assert config.REGION_EXTRACTOR.NAME == "SpatialPyramid"
    assert (config.BOX_HEAD.LAYER, config.BOX_HEAD.Ridge.ALPHA, config.BOX_HEAD.Ridge.MIN_IOU) == ("pool5", 4000, 0.5)
    svm = config.CLASSIFIER.LinearSVM
    assert (svm.C, svm.POSITIVE_WEIGHT, svm.BIAS_SCALE, svm.TARGET_NORM) == (0.001, 2, 10, 20)
    assert (svm.HARD_MARGIN, svm.EVICT_BELOW, svm.RETRAIN_AFTER, svm.NEGATIVE_IOU) == (-1.0001, -1.2, 2000, 0.3)
    sampler = config.REGION_SAMPLER.ImageCentric
    assert (sampler.BATCH_SIZE, sampler.FOREGROUND_FRACTION) == (128, 0.25)


@pytest.mark.parametrize(
    ("name", "learnt"),
    [
        ("quick.yaml", {"fc6", "fc7"}),
        ("alexnet_svm.yaml", {"classifier.1", "classifier.4"}),
        ("squeezenet_svm.yaml", set()),
        ("mobilenet_svm.yaml", set()),
    ],
)
def test_only_fully_connected_layers_are_tuned(name, learnt):
    config = load_config(FOLDER / name)
    backbone = shape_of_network(config)
    freeze_before(backbone, config.FINETUNE.TUNE_FROM)
    assert {n.rpartition(".")[0] for n, p in backbone.named_parameters() if p.requires_grad} == learnt
    assert bool(learnt) == ("Finetune" in config.STAGES)


@pytest.mark.parametrize("name", RECIPES)
def test_the_system_of_ridge_stays_under_4_gb(name):
    # the Gram matrix of pool5 in double precision and its factor
    dim = shape_of_network(load_config(FOLDER / name)).layers["pool5"].dim
    assert 2 * 8 * dim**2 < 2e9


def test_one_level_of_six_keeps_a_pretrained_fc6_and_the_papers_pyramid_does_not():
    shapes = []
    for levels in ("[]", "[6]", "[1, 2, 3, 6]"):
        config = load_config(FOLDER / "alexnet_svm.yaml", [f"BACKBONE.TorchvisionBackbone.LEVELS={levels}"])
        shapes.append(shape_of_network(config).classifier[1].weight.shape)
    assert shapes == [(4096, 9216), (4096, 9216), (4096, 12800)]


def test_deviations_fill_every_cell_and_end_with_a_key_or_a_reason():
    assert len(FOUND) > 15 and {len(one) for one in FOUND} == {6}
    assert not [end for end in ENDS if not re.search(r"`[A-Z][A-Z_]+(\.\w+)+: [^`]+`|none: \w+", end)]


@pytest.mark.parametrize(("key", "value"), dict.fromkeys(KEYS), ids=": ".join)
def test_a_key_takes_the_value_that_the_table_gives_it(key, value):
    found = load_config(FOLDER / "quick.yaml", [f"{key}={value}"])
    for word in key.split("."):
        found = found[word]
    assert found == yaml.safe_load(value)


SMALL = (
    "DATA.Shapes.TRAIN_IMAGES=8",
    "DATA.Shapes.TEST_IMAGES=3",
    "PRETRAIN.ITERATIONS=2",
    "PRETRAIN_DATA.Shapes.TRAIN_IMAGES=16",
    "PRETRAIN_DATA.Shapes.VAL_IMAGES=8",
    "FINETUNE.ITERATIONS=3",
    "PROPOSALS.SelectiveSearch.MODE=single",
    "CALIBRATE.FOLDS=2",
    "RUNTIME.WORKERS=0",
    "RUNTIME.REPORT=false",
    "COMPUTE.DTYPE=float32",
    "OUTPUT_DIR=run",
    "ARTIFACTS=artifacts",
)


@pytest.mark.slow
def test_the_recipe_runs_tunes_no_convolution_and_leaves_a_model_that_detects(tmp_path, monkeypatch):

    monkeypatch.chdir(tmp_path)
    assert main(["train", "--config", "projects/spp_net/quick.yaml", *SMALL]) == 0
    assert json.loads(Path("run/results.json").read_text())["num_images"] == 3
    before, after = (
        load_file(next(Path("artifacts").glob(f"{stage}/*/network.safetensors"))) for stage in ("pretrain", "finetune")
    )
    moved = {name.partition(".")[0] for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert moved == {"fc6", "fc7"}
    image = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    cv2.imwrite("picture.png", image)
    # in a process that has seen no recipe: the model names its project
    program = "import sys; from detkit.cli.main import main; sys.exit(main(sys.argv[1:]))"
    done = run_fresh(program, "detect", "--model", "run/model", "picture.png")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("squeezenet_svm", []),
        ("mobilenet_svm", []),
        # one bin leaves fc6 256 of its 9216 inputs; writing and reading the rest takes most of the long form's time
        ("alexnet_svm", ["BACKBONE.TorchvisionBackbone.LEVELS=[1]", "FINETUNE.ITERATIONS=1", "CALIBRATE.FOLDS=0"]),
        pytest.param("alexnet_svm", [], marks=pytest.mark.soak),
    ],
)
def test_recipes_of_photographs_run_from_random_weights(name, own, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["DATA.NAME=Shapes", "DATA.FINETUNE=train", "DATA.TRAIN=train", "DATA.TEST=test", "BACKBONE.WEIGHTS=random"]
    sides = "REGION_EXTRACTOR.SpatialPyramid.SHORT_SIDES=[120, 160]"
    fewer = ["DATA.Shapes.TRAIN_IMAGES=4", "CALIBRATE.FOLDS=2", "RUNTIME.BATCH=64"]
    small = [word for word in SMALL if not word.startswith("PRETRAIN")]
    assert main(["train", "--config", f"projects/spp_net/{name}.yaml", *small, *words, sides, *fewer, *own]) == 0
    assert json.loads(Path("run/results.json").read_text())["num_images"] == 3


@pytest.mark.soak
def test_drawn_shapes_are_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["COMPUTE.DTYPE=float32", "OUTPUT_DIR=run", "ARTIFACTS=artifacts"]
    assert main(["train", "--config", "projects/spp_net/quick.yaml", *words]) == 0
    assert json.loads(Path("run/results.json").read_text())["metrics"]["VOC07"]["mAP"] >= 0.75
