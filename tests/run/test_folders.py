from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from detkit.cli.main import main

SHORT = ["STAGES=[Pretrain, Propose, Finetune]", "BACKBONE.WEIGHTS=random", "--until", "Propose"]


def train(recipe: Path, *words: str) -> int:
    return main(["train", "--config", str(recipe), *words])


OWN = ("model/mine.txt", "detections/mine.txt", "results.json", "config.yaml", "metrics.jsonl", "plan.json")


@pytest.mark.parametrize("name", OWN)
def test_files_that_no_run_has_written_are_never_replaced(recipe, capsys, name):
    own = Path("out", name)
    own.parent.mkdir(parents=True)
    own.write_text("{}mine")
    assert train(recipe, *SHORT, "OUTPUT_DIR=out") == 2
    err = capsys.readouterr().err
    assert f"{Path('out', Path(name).parts[0])} is in the way" in err and err.count("\n") == 1
    assert [path for path in Path("out").rglob("*") if path.is_file()] == [own]
    assert not Path("artifacts").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["OUTPUT_DIR=run", "ARTIFACTS=run/model"], "ARTIFACTS: run/model lies in run/model, which the run replaces"),
        (["OUTPUT_DIR=run", "ARTIFACTS=run/x/../detections/a"], "lies in run/detections, which the run replaces"),
        (["OUTPUT_DIR=run", "ARTIFACTS=run/model.partial"], "lies in run/model, which the run replaces"),
        (
            ["OUTPUT_DIR=photos/run", "DATA.NAME=VOC", "DATA.VOC.ROOT=photos", "DATA.FINETUNE=all"],
            "lies in DATA.VOC.ROOT",
        ),
    ],
)
def test_folders_of_a_run_that_lie_in_each_other_are_refused_in_one_line(recipe, capsys, words, message):
    Path("photos").mkdir()
    cv2.imwrite("photos/a.png", np.zeros((20, 30, 3), np.uint8))
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
    Path("photos/a.xml").write_text(f"<annotation><object><name>cat</name>{box}</object></annotation>")
    assert train(recipe, *SHORT, *words) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
    assert not Path("run").exists() and not Path("photos/run").exists()


def test_every_entry_of_a_list_is_checked(recipe, capsys):
    for folder in ("run/model/first", "second"):
        Path(folder).mkdir(parents=True)
        Path(folder, "__init__.py").write_text("")
    assert train(recipe, *SHORT, "OUTPUT_DIR=run", "PROJECT=[run/model/first, second]") == 2
    assert "lies in run/model, which the run replaces" in capsys.readouterr().err


def test_a_recipe_that_is_the_config_of_its_run_is_refused(recipe, capsys):
    Path("out").mkdir()
    text = recipe.read_text()
    Path("out/config.yaml").write_text(text)
    assert train(Path("out/config.yaml"), *SHORT, "OUTPUT_DIR=out") == 2
    assert "out/config.yaml: the run would write its resolved config over this recipe" in capsys.readouterr().err
    assert Path("out/config.yaml").read_text() == text


def test_weights_in_the_way_of_the_weights_of_the_run_are_refused(recipe, capsys):
    words = ["STAGES=[Pretrain]", "OUTPUT_DIR=out"]
    assert train(recipe, *words) == 0
    assert train(recipe, *words, "BACKBONE.WEIGHTS=out/weights.safetensors") == 2
    assert "BACKBONE.WEIGHTS: out/weights.safetensors lies in out/weights.safetensors" in capsys.readouterr().err
    assert Path("out/weights.safetensors").is_file()


def test_the_config_that_a_run_has_written_goes_on_with_this_run(recipe, capsys):
    assert train(recipe, "STAGES=[Pretrain]", "RUNTIME.BATCH=8") == 0
    files = {path: path.read_bytes() for path in Path("artifacts").rglob("*") if path.is_file()}
    written = Path("runs/tiny/config.yaml").read_text()
    capsys.readouterr()
    for _ in range(2):
        assert train(Path("runs/tiny/config.yaml")) == 0
        assert "finished already" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in Path("artifacts").rglob("*") if path.is_file()} == files
    assert [path.name for path in Path("runs").iterdir()] == ["tiny"]
    assert Path("runs/tiny/config.yaml").read_text() == written.replace("OUTPUT_DIR: ''", "OUTPUT_DIR: runs/tiny")


def test_the_config_of_a_run_that_was_moved_stays_where_it_lies(recipe):
    assert train(recipe, "STAGES=[Pretrain]", "OUTPUT_DIR=first") == 0
    Path("first").rename("second")
    assert train(Path("second/config.yaml")) == 0
    assert not Path("first").exists() and "OUTPUT_DIR: second\n" in Path("second/config.yaml").read_text()
