"""Settings of the components that quick.yaml does not choose: a row for every key, with its component chosen."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from tests.data.conftest import VOCFolder, write_picture
from tests.reliability.plans import check_change, leaves, of_the_core, planning, quick, steps_of
from tests.reliability.test_settings import ROWS

BOX = (8, 6, 40, 30)
KINDS = ("circle", "square")
DATA = ["DATA.FINETUNE=trainval", "DATA.TRAIN=trainval", "DATA.TEST=test"]
FLAT = ["DATA.VOC.ROOT=flat", "DATA.NAME=VOC", *DATA]
PRETRAIN_FLAT = ["PRETRAIN_DATA.VOC.ROOT=flat", "PRETRAIN_DATA.NAME=VOC"]
MAT = ["PROPOSALS.NAME=Precomputed", "PROPOSALS.Precomputed.PATH=boxes.mat"]
MAT += ["PROPOSALS.Precomputed.ORDER=y1x1y2x2", "PROPOSALS.Precomputed.BASE=1"]
COCO = ["DATA.NAME=COCO", "DATA.COCO.ANNOTATIONS={split}.json", "DATA.COCO.IMAGES=flat/JPEGImages", *DATA]
PRETRAIN_COCO = ["PRETRAIN_DATA.NAME=COCO", "PRETRAIN_DATA.TRAIN=trainval", "PRETRAIN_DATA.VAL=test"]
PRETRAIN_COCO += ["PRETRAIN_DATA.COCO.ANNOTATIONS={split}.json", "PRETRAIN_DATA.COCO.IMAGES=flat/JPEGImages"]
YOLO = ["DATA.YOLO.ROOT=yolo", "DATA.NAME=YOLO", *DATA]
PRETRAIN_YOLO = ["PRETRAIN_DATA.YOLO.ROOT=yolo", "PRETRAIN_DATA.NAME=YOLO"]
PRETRAIN_FOLDERS = ["PRETRAIN_DATA.NAME=ImageFolders", "PRETRAIN_DATA.ImageFolders.ROOT=folders"]
SQUEEZENET = ["BACKBONE.NAME=TorchvisionBackbone", "BACKBONE.TorchvisionBackbone.ARCH=squeezenet1_1"]
SQUEEZENET += ["CLASSIFIER.LAYER=pool5", "FEATURES.LAYERS=[pool5]"]
TIMM = ["BACKBONE.NAME=TimmBackbone", "CLASSIFIER.LAYER=final", "FEATURES.LAYERS=[pool5, final]"]
WINDOWS = ["PROPOSALS.NAME=SlidingWindow"]
CAFFE = {"DROPOUT": 0.1, "INIT": "he", "INPUT_SIZE": 115, "LEVELS": [1, 2]}
OF_ROOT = {
    "ROOT": "flat",
    "DRAW_SPLITS": True,
    "VAL_FRACTION": 0.4,
    "TEST_FRACTION": 0.4,
    "SPLIT_SEED": 1,
    "EXIF": "turn",
}
"""Annotations are given here, so a root, and how it would be split, change nothing."""
ALL, NETWORK = "abcFxyCRKDE", "PFxyCRKDE"

# What chooses a component; its section; the steps that a key changes; the keys, each with another legal value.
TABLE = [
    (
        WINDOWS,
        "PROPOSALS.SlidingWindow",
        ALL,
        {"RATIOS": [1.0], "SCALES": [0.5], "STRIDE": 0.5},
    ),
    (
        ["PROPOSALS.NAME=EdgeBoxes"],
        "PROPOSALS.EdgeBoxes",
        ALL,
        {"ALPHA": 0.5, "BETA": 0.5, "ETA": 0.9, "GAMMA": 1.0, "KAPPA": 1.0, "MAX_BOXES": 9, "MIN_SCORE": 0.1}
        | {"CLUSTER_MIN_MAGNITUDE": 0.1, "EDGE_MERGE_THRESHOLD": 0.1, "EDGE_MIN_MAGNITUDE": 0.2}
        | {"MAX_ASPECT_RATIO": 2.0, "MIN_BOX_AREA": 9.0, "MODEL": "model.yml.gz"},
    ),
    (MAT, "PROPOSALS.Precomputed", ALL, {"PATH": "others.mat", "ORDER": "x1y1x2y2", "BASE": 0}),
    (
        ["BACKBONE.NAME=AlexNet"],
        "BACKBONE.AlexNet",
        NETWORK,
        CAFFE,
    ),
    (
        ["BACKBONE.NAME=CaffeNet"],
        "BACKBONE.CaffeNet",
        NETWORK,
        CAFFE,
    ),
    (
        SQUEEZENET,
        "BACKBONE.TorchvisionBackbone",
        NETWORK,
        {"ARCH": "mobilenet_v2", "GRID": 2, "INPUT_SIZE": 128, "LEVELS": [1, 2], "MAP_STRIDE": 16},
    ),
    (TIMM, "BACKBONE.TimmBackbone", NETWORK, {"ARCH": "resnet10t", "GRID": 2, "INPUT_SIZE": 96, "MAP_STRIDE": 16}),
    (
        ["REGION_EXTRACTOR.NAME=SharedMap", "FINETUNE.ALLOW_WHOLE_IMAGES=true"],
        "REGION_EXTRACTOR.SharedMap",
        "FxyCRKDE",
        {"LONG_SIDE": 1000, "SHORT_SIDES": [300, 600], "PADDING": 2, "SAMPLING_RATIO": 2, "WIDER": 1.8},
    ),
    (
        ["REGION_SAMPLER.NAME=ImageCentric"],
        "REGION_SAMPLER.ImageCentric",
        "FxyCRKDE",
        {"BATCH_SIZE": 64, "FOREGROUND_FRACTION": 0.5, "IMAGES_PER_BATCH": 4},
    ),
    (["REGION_SAMPLER.NAME=Uniform"], "REGION_SAMPLER.Uniform", "FxyCRKDE", {"BATCH_SIZE": 64}),
    (
        ["BOX_HEAD.NAME=SGDLinear"],
        "BOX_HEAD.SGDLinear",
        "RKDE",
        {"BATCH_SIZE": 64, "EPOCHS": 2, "LR": 0.1, "MIN_IOU": 0.5, "MOMENTUM": 0.5, "TARGET_NORM": 10.0}
        | {"WEIGHT_DECAY": 0.5, "WIDTHS": "inclusive", "CODER": "relative"},
    ),
    (
        ["BOX_HEAD.NAME=MLP"],
        "BOX_HEAD.MLP",
        "RKDE",
        {"BATCH_SIZE": 64, "EPOCHS": 2, "HIDDEN_DIM": 8, "LR": 0.1, "MIN_IOU": 0.5, "MOMENTUM": 0.5}
        | {"TARGET_NORM": 10.0, "WEIGHT_DECAY": 0.5, "WIDTHS": "inclusive", "CODER": "relative"},
    ),
    (FLAT, "DATA.VOC", ALL, {"ROOT": "other", "SPLIT_SEED": 1, "TEST_FRACTION": 0.4}),
    (FLAT, "DATA.VOC", "FxyCRKDE", {"CLASSES": ["square", "circle"]}),
    (FLAT, "DATA.VOC", "", {"OTHER_CLASSES": "drop", "DRAW_SPLITS": True, "MAX_MEGAPIXELS": 1.0, "EXIF": "turn"}),
    ([*FLAT, "DATA.FINETUNE=val"], "DATA.VOC", "aFxyCRKDE", {"VAL_FRACTION": 0.4}),
    (COCO, "DATA.COCO", ALL, {"IMAGES": "other/JPEGImages", "ANNOTATIONS": "fewer_{split}.json"}),
    (COCO, "DATA.COCO", "FxyCRDE", {"CLASSES": ["square", "circle"]}),
    (COCO, "DATA.COCO", "", {"OTHER_CLASSES": "drop", "MAX_MEGAPIXELS": 1.0, **OF_ROOT}),
    (YOLO, "DATA.YOLO", ALL, {"ROOT": "yolo_other", "SPLIT_SEED": 1, "TEST_FRACTION": 0.4}),
    (YOLO, "DATA.YOLO", "FxyCRKDE", {"CLASSES": ["square", "circle"]}),
    (YOLO, "DATA.YOLO", "", {"OTHER_CLASSES": "drop", "DRAW_SPLITS": True, "MAX_MEGAPIXELS": 1.0, "EXIF": "turn"}),
    ([*YOLO, "DATA.FINETUNE=val"], "DATA.YOLO", "aFxyCRKDE", {"VAL_FRACTION": 0.4}),
    (PRETRAIN_FLAT, "PRETRAIN_DATA.VOC", NETWORK, {"ROOT": "other", "SPLIT_SEED": 1, "VAL_FRACTION": 0.4}),
    (PRETRAIN_FLAT, "PRETRAIN_DATA.VOC", NETWORK, {"TEST_FRACTION": 0.4, "CLASSES": ["square", "circle"]}),
    (PRETRAIN_FLAT, "PRETRAIN_DATA.VOC", "", {"OTHER_CLASSES": "drop", "DRAW_SPLITS": True, "MAX_MEGAPIXELS": 1.0}),
    (PRETRAIN_FLAT, "PRETRAIN_DATA.VOC", "", {"EXIF": "turn"}),
    (PRETRAIN_COCO, "PRETRAIN_DATA.COCO", NETWORK, {"IMAGES": "other/JPEGImages", "ANNOTATIONS": "fewer_{split}.json"}),
    (PRETRAIN_COCO, "PRETRAIN_DATA.COCO", NETWORK, {"CLASSES": ["square", "circle"]}),
    (PRETRAIN_COCO, "PRETRAIN_DATA.COCO", "", {"OTHER_CLASSES": "drop", "MAX_MEGAPIXELS": 1.0, **OF_ROOT}),
    (PRETRAIN_YOLO, "PRETRAIN_DATA.YOLO", NETWORK, {"ROOT": "yolo_other", "SPLIT_SEED": 1, "VAL_FRACTION": 0.4}),
    (PRETRAIN_YOLO, "PRETRAIN_DATA.YOLO", NETWORK, {"TEST_FRACTION": 0.4, "CLASSES": ["square", "circle"]}),
    (PRETRAIN_YOLO, "PRETRAIN_DATA.YOLO", "", {"OTHER_CLASSES": "drop", "DRAW_SPLITS": True, "MAX_MEGAPIXELS": 1.0}),
    (PRETRAIN_YOLO, "PRETRAIN_DATA.YOLO", "", {"EXIF": "turn"}),
    (PRETRAIN_FOLDERS, "PRETRAIN_DATA.ImageFolders", NETWORK, {"ROOT": "folders_other"}),
    (PRETRAIN_FOLDERS, "PRETRAIN_DATA.ImageFolders", "", {"MAX_MEGAPIXELS": 1.0}),
]
OTHERS = [
    (f"{section}.{key}", value, words, steps) for words, section, steps, keys in TABLE for key, value in keys.items()
]
WITHOUT_KEYS = {"BOX_HEAD.Identity", "BOX_HEAD.TunedBoxes", "CLASSIFIER.Softmax", "OBJECTIVE.ImageSoftmax"}
REFUSED = {"DATA.ImageFolders.ROOT", "DATA.ImageFolders.MAX_MEGAPIXELS"}
"""Its images are one object each: it is for PRETRAIN_DATA."""


def draw_data(folder: Path) -> None:
    """VOC folders without lists, COCO files, folders of images, files of boxes; what is 'other' has other pixels."""
    for name, shade in (("flat", 10), ("other", 20)):
        voc = VOCFolder(folder / name)
        for i in range(12):
            voc.add(f"p{i:02d}", voc.xml(voc.thing(KINDS[i % 2], BOX)), value=shade * (i % 12 + 1))
        for i in range(8):
            root = folder / ("folders" if name == "flat" else "folders_other")
            write_picture(root / ("train", "val")[i // 4] / KINDS[i % 2] / f"{i}.png", value=shade + i)
        yolo = folder / ("yolo" if name == "flat" else "yolo_other")
        for i in range(12):
            write_picture(yolo / f"images/p{i:02d}.png", value=shade * (i % 12 + 1))
            (yolo / "labels").mkdir(exist_ok=True)
            (yolo / f"labels/p{i:02d}.txt").write_text(f"{i % 2} 0.4 0.45 0.5 0.6\n")
        (yolo / "classes.txt").write_text("\n".join(KINDS))
    categories = [{"id": k + 1, "name": kind} for k, kind in enumerate(KINDS)]
    for split, numbers in (("trainval", range(8)), ("test", range(8, 12))):
        for name, some in ((split, numbers), (f"fewer_{split}", numbers[:-1])):
            images = [{"id": i, "file_name": f"p{i:02d}.jpg", "height": 40, "width": 60} for i in some]
            shared = {"bbox": [8, 6, 32, 24], "area": 768, "iscrowd": 0}
            truths = [{"id": i + 1, "image_id": i, "category_id": i % 2 + 1, **shared} for i in some]
            content = {"images": images, "annotations": truths, "categories": categories}
            (folder / f"{name}.json").write_text(json.dumps(content))
    for name, corner in (("boxes", 1), ("others", 2)):
        savemat(folder / f"{name}.mat", {"boxes": np.array([[corner, 1, 30, 30]], np.float64)})
    (folder / "model.yml.gz").write_bytes(b"a model that no plan opens")


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """The folder with the data, and room for the steps with each component chosen before a key of it is changed."""
    folder = tmp_path_factory.mktemp("others")
    draw_data(folder)
    return folder, {}


def test_every_key_has_a_row_here_or_among_those_of_quick_yaml():
    with_rows = {key for key, *_ in OTHERS}
    assert not with_rows & set(ROWS)
    assert of_the_core(leaves(quick())) - set(ROWS) == with_rows | WITHOUT_KEYS | REFUSED


def tried():
    """In the suite one key for each component, the others in the long form."""
    seen = set()
    for key, *row in OTHERS:
        component = key.rpartition(".")[0]
        yield pytest.param(key, *row, marks=[pytest.mark.soak] if component in seen else [], id=key)
        seen.add(component)


@pytest.mark.parametrize(("key", "value", "words", "letters"), tried())
def test_a_changed_setting_of_a_chosen_component_makes_again_what_depends_on_it(
    before, key, value, words, letters, monkeypatch
):
    folder, plans = before
    monkeypatch.chdir(folder)
    with planning(folder):
        if (chosen := tuple(words)) not in plans:
            plans[chosen] = steps_of(quick(*words))
        new = steps_of(quick(*words, f"{key}={json.dumps(value)}"))
    slot = key.split(".")[0]
    told = rf"{slot}\b.*" if "DATA" in slot else rf"{re.escape(key)}\b.*: .*, was "
    check_change(folder, plans[chosen], new, letters, told)
