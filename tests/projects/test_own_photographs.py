"""Folders with splits of their own train by README's command for one's own photographs."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from detkit.cli.main import main
from detkit.data.labels.convert import convert
from tests.data.conftest import VOCFolder
from tests.test_readme import README, commands

(TRAIN,) = [words for words in commands(README) if words[:1] == ["train"] and "DATA.ROOT=photos" in words]
RCNN = ["train", "--config", "projects/rcnn/custom.yaml", "DATA.ROOT=photos", "OUTPUT_DIR=runs/photos"]
OF_RCNN = ["CLASSIFIER.LAYER=fc7", "REGION_SAMPLER.FixedFraction.BATCH_SIZE=16"]
OF_FAST_RCNN = [
    *("OBJECTIVE.MultiTask.BOX_LAYER=pool5", "BOX_HEAD.LAYER=pool5", "FINETUNE.TUNE_FROM=conv1"),
    *("REGION_EXTRACTOR.RoIPool.SHORT_SIDES=[120]", "REGION_SAMPLER.Hierarchical.IMAGES_PER_BATCH=2"),
]
TINY = [
    *("BACKBONE.NAME=TinyNet", "BACKBONE.WEIGHTS=random", "BACKBONE.TinyNet.WIDTH=8", "BACKBONE.TinyNet.FC_DIM=16"),
    "FINETUNE.ITERATIONS=2",
    *(
        "PROPOSALS.SelectiveSearch.MODE=single",
        "PROPOSALS.SelectiveSearch.WIDTH=0",
        "CALIBRATE.FOLDS=2",
        "COMPUTE.COMPILE=false",
        "COMPUTE.DTYPE=float32",
    ),
    *("RUNTIME.WORKERS=0", "RUNTIME.REPORT=false", "ARTIFACTS=artifacts"),
]
"""A small network, and two steps."""
COLOURS = {"raccoon": (90, 90, 90), "red": (40, 40, 220), "white": (240, 240, 240), "apple": (30, 160, 30)}


def photograph(
    voc: VOCFolder, image_id: str, objects: list[tuple[str, int, int, int]], xml_size: tuple[int, int]
) -> None:
    """A noisy picture of 160 x 120 pixels with a square (class, x, y, side) for each object."""
    pixels = np.random.default_rng(int(image_id)).integers(0, 60, (120, 160, 3), np.uint8)
    for name, x, y, side in objects:
        pixels[y : y + side, x : x + side] = COLOURS[name]
    things = [voc.thing(name, (x + 1, y + 1, x + side, y + side)) for name, x, y, side in objects]
    voc.add(image_id, voc.xml(*things, size=xml_size))
    cv2.imwrite(str(voc.root / f"JPEGImages/{image_id}.jpg"), pixels)


def one_class_and_a_truncated_jpeg(voc: VOCFolder) -> None:
    for n in range(7):
        photograph(voc, f"{n}", [("raccoon", 10 + 3 * n, 20, 50)], (120, 160))
    file = voc.root / "JPEGImages/3.jpg"
    file.write_bytes(file.read_bytes()[:900])
    voc.split("trainval", *"01234").split("test", *"56")


def many_small_objects(voc: VOCFolder) -> None:
    for n in range(6):
        places = [(x, y) for x in range(8 + n, 150, 24) for y in range(8, 110, 24)]
        photograph(voc, f"{n}", [(("red", "white")[i % 2], x, y, 10) for i, (x, y) in enumerate(places)], (120, 160))
    voc.split("train", *"0123").split("val", *"45")


def sizes_of_0_in_the_xml(voc: VOCFolder) -> None:
    for n in range(6):
        photograph(voc, f"{n}", [("apple", 10 + 4 * n, 10, 40), ("red", 90, 60, 44)], (0, 0))
    voc.split("trainval", *"0123").split("test", *"45")


@pytest.mark.parametrize(
    ("make", "num_skipped", "classes"),
    [
        (one_class_and_a_truncated_jpeg, 1, {"raccoon"}),
        (many_small_objects, 0, {"red", "white"}),
        (sizes_of_0_in_the_xml, 0, {"apple", "red"}),
    ],
)
def test_a_folder_with_splits_of_its_own_trains_from_readmes_own_words(
    tmp_path, monkeypatch, make, num_skipped, classes
):
    monkeypatch.chdir(tmp_path)
    make(VOCFolder(tmp_path / "photos"))
    assert main([*TRAIN, *TINY, *OF_FAST_RCNN]) == 0
    results = json.loads(Path("runs/photos/results.json").read_text())
    assert results["data"]["TRAIN"]["num_skipped"] == num_skipped
    assert set(results["metrics"]["VOC07"]["AP"]) == classes
    assert Path("runs/photos/model/model.yaml").is_file()


def test_the_recipe_with_svms_trains_with_the_features_that_it_stores(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    many_small_objects(VOCFolder(tmp_path / "photos"))
    words = [word.replace("photographs.yaml", "photographs_svm.yaml") for word in TRAIN]
    assert main([*words, *TINY, *OF_FAST_RCNN]) == 0
    made = {path.parent.parent.name for path in Path("artifacts").glob("*/*/manifest.json")}
    assert {"finetune", "extract", "classify", "calibrate", "detect"} <= made
    assert Path("runs/photos/model/model.yaml").is_file()


@pytest.mark.parametrize("layout", ["coco", "yolo"])
def test_public_layouts_of_other_formats_train_without_a_key_that_names_them(tmp_path, monkeypatch, layout):
    monkeypatch.chdir(tmp_path)
    many_small_objects(VOCFolder(tmp_path / "voc"))
    convert(tmp_path / "voc", tmp_path / "photos", layout)
    assert main([*RCNN, *TINY, *OF_RCNN]) == 0
    results = json.loads(Path("runs/photos/results.json").read_text())
    assert (results["dataset"], results["split"], results["num_images"]) == (layout.upper(), "test", 2)
    # COCO's data are judged by COCO's numbers alone
    assert ("VOC07" in results["metrics"], "COCO" in results["metrics"]) == (layout == "yolo", True)
