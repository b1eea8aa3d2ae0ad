from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from detkit.cli.main import main
from detkit.config import load_config

ROOT = Path(__file__).resolve().parents[3]
RECIPES = sorted(p.name for p in (ROOT / "projects" / "rcnn").glob("[a-z]*.yaml"))
PADDINGS_OF_THEIR_OWN = {"paper_tiny.yaml": 4, "quick.yaml": 4, "vgg16_svm.yaml": 16}
SMALLER_BATCHES = {"mobilenet_svm.yaml": (16, 64), "paper_tiny.yaml": (16, 64), "vgg16_svm.yaml": (6, 24)}
SMALLER_BATCHES |= {"paper_photographs.yaml": (16, 64)}
SMALL = (
    "DATA.Shapes.TRAIN_IMAGES=8",
    "DATA.Shapes.TEST_IMAGES=3",
    "DATA.Shapes.WIDTH=64",
    "PRETRAIN.ITERATIONS=2",
    "PRETRAIN_DATA.Shapes.TRAIN_IMAGES=16",
    "PRETRAIN_DATA.Shapes.VAL_IMAGES=8",
    "PRETRAIN_DATA.Shapes.WIDTH=64",
    "FINETUNE.ITERATIONS=2",
    "BACKBONE.TinyNet.WIDTH=8",
    "BACKBONE.TinyNet.FC_DIM=32",
    "PROPOSALS.SelectiveSearch.MODE=single",
    "CALIBRATE.FOLDS=2",
    "RUNTIME.WORKERS=0",
    "RUNTIME.BATCH=64",
    "RUNTIME.REPORT=false",
    "OUTPUT_DIR=run",
    "ARTIFACTS=artifacts",
)


def test_all_recipes_of_the_paper_are_there():
    alexnets = ["imagenet", "softmax", "svm", "tiny_imagenet", "voc2012"]
    others = ["caffenet_115px_svm", "caffenet_svm", "coco_classes", "coco_squeezenet", "custom", "mobilenet_svm"]
    others += ["paper_photographs", "paper_tiny", "quick", "squeezenet_svm", "vgg16_svm"]
    assert RECIPES == [*(f"alexnet_{name}.yaml" for name in alexnets), *(f"{name}.yaml" for name in others)]


@pytest.mark.parametrize("name", RECIPES)
def test_recipe_loads_with_the_papers_constants(name):
    config = load_config(f"projects/rcnn/{name}")
    assert config.REGION_EXTRACTOR.WarpedCrops.PADDING == PADDINGS_OF_THEIR_OWN.get(name)
    assert config.POSTPROCESS.NMS_IOU == 0.3
    assert config.BOX_HEAD.Ridge.MIN_IOU == 0.6
    if config.CLASSIFIER.NAME == "LinearSVM":
        assert config.CLASSIFIER.LinearSVM.NEGATIVE_IOU == 0.3
    drawn = config.REGION_SAMPLER.FixedFraction
    foreground = int(drawn.BATCH_SIZE * drawn.FOREGROUND_FRACTION)
    assert (foreground, drawn.BATCH_SIZE) == SMALLER_BATCHES.get(name, (32, 128))


@pytest.mark.parametrize("name", [name for name in RECIPES if "imagenet" not in name])
def test_photographs_are_searched_at_most_500_px_wide_and_the_papers_images_as_they_are(name):
    of_photographs = {"caffenet_115px_svm.yaml", "custom.yaml", "mobilenet_svm.yaml", "squeezenet_svm.yaml"}
    of_photographs |= {"paper_photographs.yaml"}
    search = load_config(f"projects/rcnn/{name}").PROPOSALS.SelectiveSearch
    assert (search.WIDTH, search.MIN_SIDE) == (500 if name in of_photographs else 0, 20)


@pytest.mark.parametrize(
    "path", ["spp_net/squeezenet_svm", "spp_net/mobilenet_svm", "fast_rcnn/squeezenet", "fast_rcnn/mobilenet"]
)
def test_the_other_projects_search_photographs_as_this_one_so_that_proposals_are_shared(path):
    theirs = load_config(f"projects/{path}.yaml").PROPOSALS
    assert theirs == load_config("projects/rcnn/mobilenet_svm.yaml").PROPOSALS


@pytest.mark.parametrize("name", ["alexnet_svm", "alexnet_softmax", "alexnet_voc2012", "caffenet_svm", "vgg16_svm"])
def test_full_recipes_finetune_as_the_paper(name):
    config = load_config(f"projects/rcnn/{name}.yaml").FINETUNE
    found = (config.ITERATIONS, config.LR, config.LR_DROP_EVERY, config.LR_GAMMA, config.MOMENTUM, config.WEIGHT_DECAY)
    assert found == (70000, 0.001, 20000, 0.1, 0.9, 0.0005)
    assert (config.HEAD_LR_FACTOR, config.BIAS_LR_FACTOR, config.MIRROR) == (10, 2, True)


def test_pretraining_is_caffe_s():
    config = load_config("projects/rcnn/alexnet_imagenet.yaml")
    found = config.PRETRAIN
    assert (found.ITERATIONS, found.LR, found.LR_DROP_EVERY, found.LR_GAMMA) == (450000, 0.01, 100000, 0.1)
    assert (found.BATCH_SIZE, found.MOMENTUM, found.WEIGHT_DECAY, found.BIAS_LR_FACTOR) == (256, 0.9, 0.0005, 2)
    assert (found.RESIZE, found.MIRROR, found.HEAD_LR_FACTOR, found.HEAD_NORM) == (256, True, 1, 0)
    assert config.STAGES == ["Pretrain"]
    network = config.BACKBONE.CaffeNet
    assert (config.BACKBONE.NAME, network.INPUT_SIZE, network.INIT, network.DROPOUT) == (
        "CaffeNet",
        227,
        "published",
        0.5,
    )


def test_the_detector_of_small_crops_has_the_network_of_the_small_pretraining():
    trained, used = (load_config(f"projects/rcnn/{n}.yaml") for n in ("alexnet_tiny_imagenet", "caffenet_115px_svm"))
    assert trained.BACKBONE.NAME == used.BACKBONE.NAME == "CaffeNet"
    assert trained.BACKBONE.CaffeNet.INPUT_SIZE == used.BACKBONE.CaffeNet.INPUT_SIZE == 115
    assert used.BACKBONE.WEIGHTS == "runs/alexnet_tiny_imagenet/weights.safetensors"


def test_voc2012_tunes_on_train_learns_on_trainval_and_tests_on_val():
    data = load_config("projects/rcnn/alexnet_voc2012.yaml").DATA
    assert (data.FINETUNE, data.TRAIN, data.TEST) == ("train", "trainval", "val")


@pytest.mark.slow
def test_every_slot_is_swapped_from_the_command_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # those that do not touch each other are swapped together
    swaps = [
        ("CLASSIFIER.NAME=Softmax", "CLASSIFIER.LAYER=fc7", "BOX_HEAD.NAME=SGDLinear"),
        (
            "BACKBONE={}",
            "BACKBONE.NAME=TorchvisionBackbone",
            "BACKBONE.WEIGHTS=random",
            "BACKBONE.TorchvisionBackbone.ARCH=squeezenet1_1",
            "BACKBONE.TorchvisionBackbone.INPUT_SIZE=64",
            "CLASSIFIER.LAYER=pool5",
            "FEATURES.LAYERS=[]",
            "REGION_SAMPLER.FixedFraction.BATCH_SIZE=8",
            "PROPOSALS.NAME=SlidingWindow",
            "PROPOSALS.SlidingWindow.SCALES=[0.5]",
            "PROPOSALS.SlidingWindow.STRIDE=0.5",
        ),
        ("PROPOSALS.NAME=EdgeBoxes", "PROPOSALS.EdgeBoxes.MAX_BOXES=100", "REGION_SAMPLER.NAME=ImageCentric"),
        ("REGION_EXTRACTOR.NAME=SharedMap", "REGION_SAMPLER.NAME=ImageCentric", "BOX_HEAD.NAME=Identity"),
    ]
    command = ["train", "--config", "projects/rcnn/quick.yaml", *SMALL]
    assert main(command) == 0
    first = Path("run/results.json").read_text()
    for words in swaps:
        assert main([*command, *words]) == 0, words
        assert json.loads(Path("run/results.json").read_text())["num_images"] == 3
        made = yaml.safe_load(Path("run/config.yaml").read_text())
        chosen = dict(word.split(".NAME=") for word in words if ".NAME=" in word)
        assert {slot: made[slot]["NAME"] for slot in chosen} == chosen
    assert main(command) == 0
    assert Path("run/results.json").read_text() == first
