import json
import re

import pytest

from detkit.cli.main import main
from tests.conftest import ROOT
from tests.reliability.bad_inputs import RAMP, encoded, thing, xml

QUICK = ROOT / "projects/rcnn/quick.yaml"

STAGES = "STAGES: [Pretrain, Propose, Classify, Regress, Detect, Evaluate]\nBACKBONE: {WEIGHTS: random}\n"


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """Three images to learn from, the first two equal, one of them without objects; the test has one broken image."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "VOC/ImageSets/Main").mkdir(parents=True)
    texts = {
        "a": xml(thing((1, 1, 10, 20)), thing((11, 1, 30, 40), "dog", "<difficult>1</difficult>")),
        "b": xml(),
        "c": xml(thing((1, 1, 20, 10)), size="<size><width>40</width><height>60</height></size>"),
        "d": xml(thing((9, 1, 2, 9)), thing((9, 9, 9, 2), "dog")),
    }
    for shade, (name, text) in zip((1, 1, 2, 3), texts.items()):
        (tmp_path / f"VOC/{name}.png").write_bytes(encoded(".png", RAMP // shade))
        (tmp_path / f"VOC/{name}.xml").write_text(text)
    (tmp_path / "VOC/ImageSets/Main/train.txt").write_text("a\nb\nc\n")
    (tmp_path / "VOC/ImageSets/Main/test.txt").write_text("a\nd\n")
    data = "{NAME: VOC, TRAIN: train, TEST: test, VOC: {ROOT: VOC, CLASSES: [cat, dog, cow]}}"
    (tmp_path / "r.yaml").write_text(f"{STAGES}DATA: {data}\n")
    return tmp_path / "r.yaml"


def test_data_check_counts_measures_and_tells_every_problem(recipe, capsys):
    assert main(["data", "check", "--config", str(recipe), "--json", "report.json"]) == 2
    out = capsys.readouterr().out
    answer = json.loads((recipe.parent / "report.json").read_text())
    train, test = answer["splits"]
    assert (train["roles"], train["num_images"], train["num_empty"], train["num_difficult"]) == (["TRAIN"], 3, 1, 1)
    assert train["objects"] == {"cat": 2, "dog": 1, "cow": 0}
    # widths of the boxes are 10, 20, 20: the median and the greatest are 20
    assert train["quantiles"]["box width"][::3] == [10, 20, 20]
    assert train["warnings"] == [
        "VOC/c.xml: gives 40x60 pixels, its image has 60x40",
        "class cow has no object to learn from",
        "image b of train is the same picture as a of train",
    ]
    assert not train["stops"]
    assert answer["stops"] and test["stops"]
    assert [line.partition(" has")[0] for line in test["problems"]] == [
        "d: VOC/d.xml:1: object 1 of 2 (cat)",
        "d: VOC/d.xml:1: object 2 of 2 (dog)",
    ]
    assert test["warnings"] == [
        "DATA.TEST: 1 of its 1 images are also learnt from (DATA.FINETUNE, DATA.TRAIN), so its figures say nothing of "
        "new images",
    ]
    assert "stops: d: VOC/d.xml:1: object 2 of 2 (dog) has an inverted box" in out
    assert "2 problems would stop training" in out


def test_data_check_of_sound_data_ends_with_0(recipe, capsys):
    assert main(["data", "check", "--config", str(recipe), "DATA.TEST=train"]) == 0
    out = capsys.readouterr().out
    assert "TRAIN, TEST (train)" in out and "nothing would stop training" in out
    assert "warning: DATA.TEST: 3 of its 3 images are also learnt from" in out


def test_data_check_of_data_alone_does_not_ask_for_pictures_to_pretrain_on(recipe, capsys):
    words = ["DATA.TEST=train", "STAGES=[Pretrain, Propose, Classify, Evaluate]", "BACKBONE.WEIGHTS=''"]
    assert main(["data", "check", "--config", str(recipe), *words]) == 0
    out = capsys.readouterr().out
    assert "PRETRAIN_DATA:\nwarning: not set, so it was not looked at; a recipe that pre-trains needs it" in out
    assert main(["data", "check", "--config", str(recipe), *words, "PRETRAIN_DATA.ImageFolders.ROOT=nowhere"]) == 2
    assert "PRETRAIN_DATA.TRAIN (train):\nstops: data set ImageFolders: no folder nowhere" in capsys.readouterr().out


@pytest.fixture
def fruit(tmp_path, monkeypatch):
    """Eight images of an apple and a pear each, and two of an apple alone."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "VOC/ImageSets/Main").mkdir(parents=True)
    for n in range(10):
        things = [thing((1, 1, 10, 20), "apple"), thing((21, 1, 40, 30), "pear")]
        (tmp_path / f"VOC/{n}.png").write_bytes(encoded(".png", RAMP // (n + 1)))
        (tmp_path / f"VOC/{n}.xml").write_text(xml(*things[: 2 if n < 8 else 1]))
    (tmp_path / "VOC/ImageSets/Main/train.txt").write_text("\n".join("0123456789"))
    data = "{NAME: VOC, TRAIN: train, TEST: train, ON_BAD: skip, VOC: {ROOT: VOC, CLASSES: [apple]}}"
    (tmp_path / "fruit.yaml").write_text(f"{STAGES}DATA: {data}\n")
    return ["--config", "fruit.yaml"]


def test_more_than_a_tenth_left_out_stops_until_a_key_allows_it(fruit, capsys):
    assert main(["data", "check", *fruit]) == 2
    out = capsys.readouterr().out
    assert re.search(r"^left out +8 of 10 images \(80\.0%\)$", out, re.MULTILINE)
    # 18 objects: 10 apples and 8 pears
    assert "8 of 18 objects (44.4%) are of other classes than DATA.VOC.CLASSES (8 pear)" in out
    refusal = (
        "DATA (train): 8 of 10 images (80.0%) would be left out, more than DATA.MAX_BAD: 0.1 allows; the first: 0: "
    )
    assert f"stops: {refusal}" in out
    assert main(["train", *fruit]) == 2
    err = capsys.readouterr().err
    assert refusal in err and err.endswith("or add DATA.MAX_BAD=0.8\n")
    assert main(["data", "check", *fruit, "DATA.MAX_BAD=0.8"]) == 0


def test_images_stay_where_objects_of_other_classes_are_ignored(fruit, capsys):
    assert main(["data", "check", *fruit, "DATA.VOC.OTHER_CLASSES=ignore"]) == 0
    out = capsys.readouterr().out
    counts = {name: int(re.search(rf"^{name} +(\d+)$", out, re.MULTILINE)[1]) for name in ("images", "objects")}
    assert counts == {"images": 10, "objects": 10}
    assert re.search(r"^of other classes, ignored +8$", out, re.MULTILINE)


def test_data_check_counts_the_objects_that_no_proposal_can_reach(recipe, capsys):
    # Boxes are 10 x 20, 20 x 40 and 20 x 10. With sides of 20 the first and last have an IoU of 0.5 at best, which is
    # enough; with sides of 21 their best are 200 / 441 = 0.45, and of 20 x 40 it is 800 / 840.
    words = ["--config", str(recipe), "DATA.TEST=train", "--json", "report.json"]
    for side, count in ((20, 0), (21, 2)):
        assert main(["data", "check", *words, f"PROPOSALS.SelectiveSearch.MIN_SIDE={side}"]) == 0
        (train,) = json.loads((recipe.parent / "report.json").read_text())["splits"]
        out = capsys.readouterr().out
        line = (
            f"{count} ground truths are out of reach: no proposal can have an IoU of 0.5 with them "
            f"(PROPOSALS.SelectiveSearch: {{MIN_SIDE: {side}.0}})"
        )
        assert train["num_unreachable"] == count
        assert (line in train["warnings"]) == (f"warning: {line}" in out) == bool(count)


def test_data_check_tells_what_the_stages_would_refuse(recipe, capsys):
    (recipe.parent / "VOC/ImageSets/Main/none.txt").write_text("b\n")
    assert main(["data", "check", "--config", str(recipe), "DATA.TRAIN=none", "DATA.TEST=train"]) == 2
    assert "stops: DATA.TRAIN: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "option"), [(["data", "check"], "--json"), (["estimate"], "--json"), (["eval"], "--output")]
)
@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("nowhere/a", "nowhere/a: no such folder nowhere; make it"),
        ("", "'': no file can"),
        ("a\0", "'a\\x00': no"),
    ],
)
def test_a_file_that_cannot_be_written_to_is_refused_before_anything_is_read(capsys, command, option, file, message):
    assert main([*command, "--config", "none.yaml", option, file]) == 2
    err = capsys.readouterr().err
    assert f"{option} {message}" in err and err.count("\n") == 1


def test_data_check_goes_through_a_recipe_that_pretrains_and_judges(recipe, capsys):
    words = [f"{slot}.Shapes.{split}_IMAGES=2" for slot in ("DATA", "PRETRAIN_DATA") for split in ("VAL", "TEST")]
    words += ["DATA.Shapes.TRAIN_IMAGES=2", "PRETRAIN_DATA.Shapes.TRAIN_IMAGES=8"]
    assert main(["data", "check", "--config", str(QUICK), *words]) == 0
    out = capsys.readouterr().out
    assert "PRETRAIN_DATA.VAL (val)" in out and "nothing would stop training" in out


def test_data_check_tells_what_a_stage_refuses_of_two_splits_together(recipe, capsys):
    folder = recipe.parent
    for name in ("train/cat", "val/dog"):
        (folder / "pictures" / name).mkdir(parents=True)
        (folder / "pictures" / name / "1.png").write_bytes(encoded(".png"))
    words = ["PRETRAIN_DATA.NAME=ImageFolders", "PRETRAIN_DATA.TRAIN=train", "PRETRAIN_DATA.VAL=val"]
    words += ["PRETRAIN_DATA.ImageFolders.ROOT=pictures", "STAGES=[Pretrain]", "BACKBONE.WEIGHTS=''"]
    assert main(["data", "check", "--config", str(recipe), *words]) == 2
    out = capsys.readouterr().out
    assert "validation image" in out and "pictures/val/dog/1.png has no training image" in out


def test_data_check_tells_of_a_broken_annotation_that_no_split_lists(recipe, capsys):
    words = ["DATA.VOC.CLASSES=[]", "DATA.TEST=train"]
    assert main(["data", "check", "--config", str(recipe), *words]) == 2
    out = capsys.readouterr().out
    assert "stops: VOC/d.xml:1: object 1 of 2 (cat) has an inverted box" in out and "2 problems would" in out
    assert main(["train", "--config", str(recipe), *words]) == 2
    assert "VOC/d.xml:1: object 1 of 2 (cat) has an inverted box" in capsys.readouterr().err
    assert main(["data", "check", "--config", str(recipe), *words, "DATA.ON_BAD=skip"]) == 0


def test_a_detection_file_whose_name_is_too_long_is_refused_before_anything_runs(recipe, capsys):
    split = recipe.parent / f"VOC/ImageSets/Main/{'s' * 200}.txt"
    split.write_text("a\n")
    words = [f"DATA.TEST={split.stem}", f"DATA.VOC.CLASSES=[cat, dog, {'c' * 41}]"]
    words += [
        "STAGES=[Pretrain, Propose, Classify, Regress, Detect]",
        "BACKBONE.NAME=TinyNet",
        "BACKBONE.WEIGHTS=random",
    ]
    for command in (["data", "check"], ["train"]):
        assert main([*command, "--config", str(recipe), *words]) == 2
        # comp4_det_ and the split, _ and the class, .txt: 10 + 200 + 1 + 41 + 4
        assert "at most 255 bytes of UTF-8, got 256" in "".join(capsys.readouterr())
    assert not (recipe.parent / "artifacts").exists()
