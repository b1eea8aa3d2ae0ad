import itertools
from pathlib import Path

import pytest

from detkit.cli.main import main
from detkit.config import load_config
from detkit.run.last_run import keep_plan
from detkit.run.runner import Run
from tests.reliability.bad_inputs import RAMP, encoded, thing, xml

WORDS = ["STAGES=[Pretrain, Propose, Finetune]", "BACKBONE.WEIGHTS=random"]


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A recipe on four photographs, whose plan a run has written down."""
    monkeypatch.chdir(tmp_path)
    Path("VOC/ImageSets/Main").mkdir(parents=True)
    for shade, name in enumerate("abcd", start=1):
        Path(f"VOC/{name}.png").write_bytes(encoded(".png", RAMP // shade))
        Path(f"VOC/{name}.xml").write_text(xml(thing((1, 1, 10, 20)), thing((11, 1, 30, 30), "dog")))
    Path("VOC/ImageSets/Main/train.txt").write_text("a\nb\nc\n")
    data = "{NAME: VOC, FINETUNE: train, VOC: {ROOT: VOC, CLASSES: [cat, dog]}}"
    path = tmp_path / "r.yaml"
    path.write_text(f"DATA: {data}\nBACKBONE: {{NAME: TinyNet}}\nCLASSIFIER: {{LAYER: fc7}}\nARTIFACTS: artifacts\n")
    Path("runs/r").mkdir(parents=True)
    keep_plan(Path("runs/r"), Run.of(load_config(path, WORDS), "r").steps)
    return path


def told(recipe, capsys, *words, step="propose finetune"):
    """What status says of a step beside its state."""
    assert main(["status", "--config", str(recipe), *WORDS, *words]) == 0
    _, *lines = capsys.readouterr().out.partition(f"{step} ")[2].splitlines()
    own = itertools.takewhile(lambda line: line.startswith(" "), lines)
    return [line.strip().removeprefix("since the last run: ") for line in own]


def test_status_names_the_first_image_that_was_replaced(recipe, capsys):
    assert told(recipe, capsys) == []
    for name in "bc":
        Path(f"VOC/{name}.png").write_bytes(encoded(".png", RAMP // 9))
    assert told(recipe, capsys) == ["DATA.FINETUNE: the image of b and of 1 more changed"]


def test_status_names_the_first_image_whose_annotations_changed(recipe, capsys):
    Path("VOC/c.xml").write_text(xml(thing((1, 1, 10, 21)), thing((11, 1, 30, 30), "dog")))
    assert told(recipe, capsys) == []
    assert told(recipe, capsys, step="\nfinetune") == ["DATA.FINETUNE: the annotations of c changed"]


@pytest.mark.parametrize(
    ("ids", "line"),
    [
        ("a\nb\nd\n", "from d on: 3, was 3"),
        ("a\nd\nb\nc\n", "from d on: 4, was 3"),
        ("a\nb\n", "at its end: 2, was 3"),
        ("a\nb\nc\nd\n", "from d on: 4, was 3"),
    ],
)
def test_status_names_the_place_from_which_a_list_is_another(recipe, capsys, ids, line):
    Path("VOC/ImageSets/Main/train.txt").write_text(ids)
    assert told(recipe, capsys) == [f"DATA.FINETUNE: the list of images is another {line}"]


def test_status_tells_of_classes_in_another_order(recipe, capsys):
    for name in "abc":
        Path(f"VOC/{name}.xml").write_text(xml())
    Path("VOC/a.xml").write_text(xml(thing((1, 1, 10, 20))))
    keep_plan(Path("runs/r"), Run.of(load_config(recipe, WORDS), "r").steps)
    words = ["DATA.VOC.CLASSES=[cat, cow]"]
    assert told(recipe, capsys, *words) == []
    assert told(recipe, capsys, *words, step="\nfinetune") == ["DATA.FINETUNE: the classes are others"]


def test_status_without_the_checksums_of_the_last_run_names_the_role(recipe, capsys):
    Path("runs/r/plan.safetensors").write_bytes(b"cut")
    Path("VOC/a.png").write_bytes(encoded(".png", RAMP // 9))
    assert told(recipe, capsys) == ["DATA.FINETUNE: other images or annotations"]
