"""``detkit data show``, ``detkit init`` and the recipes of ``detkit list``."""

import cv2
import numpy as np
import pytest
import yaml

from detkit.cli.main import main
from detkit.config.load import load_config
from tests.data.labels.folders import BOXES, put, yolo_row

WORDS = ["PROPOSALS.NAME=SlidingWindow", "REGION_SAMPLER.FixedFraction.BATCH_SIZE=8", "BACKBONE.NAME=TinyNet"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Four noisy photographs with YOLO's rows, in a folder ``photos`` of the working folder."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for n in range(4):
        data = cv2.imencode(".png", rng.integers(0, 255, (20, 40, 3), np.uint8))[1].tobytes()
        put(tmp_path / "photos", {f"{n}.png": data, f"{n}.txt": "".join(yolo_row(*thing) for thing in BOXES["a"])})
    put(tmp_path / "photos", {"classes.txt": "cat\ndog\n"})
    return tmp_path


def show(*words):
    return main(["data", "show", "--config", "projects/rcnn/custom.yaml", "DATA.ROOT=photos", *WORDS, *words])


@pytest.mark.parametrize("what", ["truths", "proposals"])
def test_a_sheet_shows_each_image(what, folder, capsys):
    assert show("--what", what, "--count", "2", "--output", "sheet.png") == 0
    assert capsys.readouterr().out == f"sheet.png: 2 pictures of {what}, DATA.FINETUNE, 2 of 3 images\n"
    # two pictures of 400 pixels side by side with a gap around each
    assert cv2.imread("sheet.png").shape[1] == 2 * 400 + 3 * 6


def test_regions_of_a_step_are_a_picture_each(folder, capsys):
    assert show("--what", "regions", "--output", "crops") == 0
    names = sorted(path.stem.partition("_")[2] for path in (folder / "crops").iterdir())
    # a quarter of 8 regions is foreground
    assert len(names) == 8 and names.count("background") == 6
    assert show("--what", "regions", "--output", "crops") == 2
    assert "crops: is not empty" in capsys.readouterr().err


def test_init_writes_a_recipe_that_loads(folder, capsys):
    assert main(["init", "photos"]) == 0
    assert "detkit train --config photos.yaml" in capsys.readouterr().out
    text = (folder / "photos.yaml").read_text()
    assert "# photos was taken for YOLO: 4 text files with names of images, and a file of class names." in text
    assert "# DATA.TRAIN: 3 images, 6 objects: cat 3, dog 3" in text
    config = load_config("photos.yaml")
    assert (config.DATA.NAME, config.DATA.YOLO.CLASSES, config.DATA.YOLO.TEST_FRACTION) == ("YOLO", ["cat", "dog"], 0.2)
    assert (folder / config.DATA.YOLO.ROOT).resolve() == folder / "photos"
    assert yaml.safe_load(text)["_BASE_"] == "projects/rcnn/custom.yaml"
    assert main(["init", "photos"]) == 2
    assert "photos.yaml: exists already" in capsys.readouterr().err


def test_init_quotes_a_name_that_a_shell_would_split(folder, capsys):
    assert main(["init", "photos", "--output", "my photos.yaml"]) == 0
    assert "detkit train --config 'my photos.yaml'" in capsys.readouterr().out


def test_init_of_other_labels_says_how_to_convert_them(folder, capsys):
    put(folder / "other", {"a.png": b"", "a.json": {"shapes": [], "imagePath": "a.png"}})
    assert main(["init", "other"]) == 2
    assert "detkit data convert makes VOC of LabelMe, CVAT and Open Images" in capsys.readouterr().err


def test_list_shows_the_recipes(capsys):
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    assert (
        "projects/rcnn/coco_classes.yaml: COCO 2017, chosen classes: set DATA.COCO.CLASSES to any of COCO's names\n"
        in out
    )
    assert "_paper.yaml" not in out
