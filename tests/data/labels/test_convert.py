"""Each format into each other, there and back."""

import json
from pathlib import Path

import pytest

from detkit.cli.main import main
from detkit.data.coco import COCO
from detkit.data.labels.convert import WRITERS, convert
from detkit.data.labels.formats import recognised
from detkit.data.voc import VOC
from detkit.errors import DataError
from tests.data.labels.folders import (
    BOXES,
    FORMATS,
    HEAD,
    cvat_box,
    cvat_file,
    images,
    open_images_row,
    put,
    shape,
    voc_file,
    voc_object,
    yolo,
)


def opened(folder, name):
    """The data set of a folder that was written, all of it."""
    given = {"on_bad": "stop", "needs_images": True}
    if name == "voc":
        return VOC(splits=("all",), root=str(folder), draw_splits=True, **given)
    (file,) = (folder / "annotations").iterdir()
    return COCO(splits=("all",), annotations=str(file), images=str(folder / "images"), **given)


def truths(dataset):
    """{image: [(class, box)]} of a data set."""
    return {
        sample.image_id: [
            (dataset.class_names[k], tuple(box))
            for k, box in zip(sample.annotations.labels.tolist(), sample.annotations.boxes.tensor.tolist())
        ]
        for sample in dataset
    }


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_is_recognised_and_its_boxes_go_over(name, tmp_path):
    folder = put(tmp_path / "in", FORMATS[name]())
    assert list(recognised(folder)) == [name]
    done = convert(folder, tmp_path / "out", "voc")
    assert (done.source, done.num_images, done.num_objects, done.lost, done.notes) == (name, 2, 3, {}, [])
    assert truths(opened(tmp_path / "out", "voc")) == BOXES


def flags_of(dataset):
    sample = next(sample for sample in dataset if sample.image_id == "a")
    found = sample.annotations
    return found.difficult.tolist(), found.crowd.tolist(), found.area.tolist(), found.truncated.tolist()


def test_flags_and_areas_come_back_from_voc_and_coco(tmp_path):
    flags = (
        "<difficult>1</difficult><truncated>0</truncated>",
        "<truncated>1</truncated><iscrowd>1</iscrowd><area>7.5</area>",
    )
    objects = "".join(voc_object(*thing, more) for thing, more in zip(BOXES["a"], flags))
    put(tmp_path / "in", {"a.xml": voc_file(objects), "b.xml": voc_file(""), **images()})
    before = flags_of(opened(tmp_path / "in", "voc"))
    assert before == ([True, False], [False, True], [200, 7.5], [False, True])
    assert convert(tmp_path / "in", tmp_path / "coco", "coco").lost == {}
    assert flags_of(opened(tmp_path / "coco", "coco")) == before
    convert(tmp_path / "coco", tmp_path / "voc", "voc")
    difficult, *others = flags_of(opened(tmp_path / "voc", "voc"))
    # a crowd is written as difficult, too, for programs that know no crowds
    assert (difficult, *others) == ([True, True], *before[1:])
    convert(tmp_path / "voc", tmp_path / "again", "coco")
    written = [json.loads((tmp_path / n / "annotations/instances.json").read_text()) for n in ("coco", "again")]
    assert written[0] == written[1]


def test_what_the_target_cannot_hold_is_counted_by_kind_and_image(tmp_path):
    polygon = {"label": "cat", "shape_type": "polygon", "points": [[0, 0], [8, 0], [0, 6]], "group_id": 3}
    line = {"label": "cat", "shape_type": "line", "points": [[0, 0], [8, 0]]}
    texts = {
        "a.json": {"shapes": [polygon, line], "imagePath": "a.png"},
        "b.json": {"shapes": [polygon | {"flags": {"x": 1}}]},
    }
    put(tmp_path / "in", {**images(), **texts})
    lost = convert(tmp_path / "in", tmp_path / "voc", "voc").lost
    assert lost == {
        "shape 'line', which has no area": {"a": 1},
        "key 'group_id'": {"a": 1, "b": 1},
        "key 'flags'": {"b": 1},
        "outline, of which box and area are kept": {"a": 1, "b": 1},
    }
    told = json.loads((tmp_path / "voc/conversion.json").read_text())
    assert told["lost"] == lost and told["target"] == "voc"
    # COCO holds the outline; half of 8 x 6 pixels
    assert "outline, of which box and area are kept" not in convert(tmp_path / "in", tmp_path / "coco", "coco").lost
    (first, _) = json.loads((tmp_path / "coco/annotations/instances.json").read_text())["annotations"]
    assert (first["bbox"], first["area"], first["segmentation"]) == ([0, 0, 8, 6], 24, [[0, 0, 8, 0, 0, 6]])


def test_a_turned_box_keeps_the_upright_box_around_it(tmp_path):
    # 10 wide and 4 high around (20, 10), turned by 90 degrees: 4 wide and 10 high
    turned = cvat_box("cat", (15, 8, 25, 12)).replace("<box", '<box rotation="90.0"')
    put(tmp_path / "in", {**images("images/{}.png"), "annotations.xml": cvat_file(a=turned, b="")})
    done = convert(tmp_path / "in", tmp_path / "out", "voc")
    assert done.lost["rotation, of which the upright box around it is kept"] == {"a": 1}
    assert truths(opened(tmp_path / "out", "voc"))["a"] == [("cat", pytest.approx((18, 5, 22, 15)))]


def test_flags_of_open_images_go_over(tmp_path):
    rows = open_images_row("a", "cat", (4, 2, 24, 12), "1,1,1,1,-1") + open_images_row("b", "cat", (0, 0, 20, 10))
    put(tmp_path / "in", {**images(), "train-annotations-bbox.csv": HEAD + rows})
    done = convert(tmp_path / "in", tmp_path / "out", "coco")
    (first, _) = json.loads((tmp_path / "out/annotations/instances_train.json").read_text())["annotations"]
    assert (first["iscrowd"], first["truncated"], first["occluded"]) == (1, 1, 1)
    assert done.lost == {"IsDepiction": {"a": 1}} and done.class_names == ["/m/cat"]


@pytest.mark.parametrize("through", ["voc", "coco"])
def test_yolo_comes_back_to_the_letter(through, tmp_path):
    files = yolo() | {
        "labels/train/a.txt": "1 0.333333 0.612345 0.123456 0.271828\n0 0.500000 0.500000 1.000000 1.000000\n"
    }
    put(tmp_path / "in", files)
    convert(tmp_path / "in", tmp_path / "way", through)
    convert(tmp_path / "way", tmp_path / "back", "yolo")
    assert (tmp_path / "back/labels/train/a.txt").read_text() == files["labels/train/a.txt"]
    assert (tmp_path / "back/images/val/b.png").read_bytes() == files["images/val/b.png"]


def test_splits_go_over_and_trainval_is_no_copy(tmp_path):
    files = {f"{folder}/{name}": text for folder, name, text in _voc_layout()}
    lists = {"train": "a\n", "val": "b\n", "trainval": "a\nb\n", "cat_train": "a 1\n"}
    put(tmp_path / "in", files | {f"ImageSets/Main/{name}.txt": text for name, text in lists.items()})
    assert convert(tmp_path / "in", tmp_path / "voc", "voc").splits == {"train": 1, "trainval": 2, "val": 1}
    convert(tmp_path / "in", tmp_path / "yolo", "yolo")
    assert sorted(p.name for p in (tmp_path / "yolo/images").iterdir()) == ["train", "val"]
    convert(tmp_path / "in", tmp_path / "coco", "coco")
    assert sorted(p.name for p in (tmp_path / "coco/annotations").iterdir()) == [
        "instances_train.json",
        "instances_val.json",
    ]


def test_splits_that_yolo_calls_alike_become_one(tmp_path):
    files = {f"{folder}/{name}": text for folder, name, text in _voc_layout()}
    lists = {"train2012": "a\nb\n", "train2017": "b\n"}
    put(tmp_path / "in", files | {f"ImageSets/Main/{name}.txt": text for name, text in lists.items()})
    assert convert(tmp_path / "in", tmp_path / "out", "yolo").num_images == 2
    assert sorted(p.name for p in (tmp_path / "out/images/train").iterdir()) == ["a.png", "b.png"]


def _voc_layout():
    for name, content in FORMATS["voc"]().items():
        yield ("JPEGImages" if name.endswith(".png") else "Annotations"), name, content


def test_an_area_that_is_the_boxes_is_not_told_as_an_outlines(tmp_path):
    put(tmp_path / "in", FORMATS["coco"]())
    assert convert(tmp_path / "in", tmp_path / "yolo", "yolo").lost == {}
    convert(tmp_path / "in", tmp_path / "voc", "voc")
    assert "area" not in (tmp_path / "voc/Annotations/a.xml").read_text()


@pytest.mark.parametrize(
    ("target", "file"), [("voc", "ImageSets/Main/{}.txt"), ("coco", "annotations/instances_{}.json")]
)
def test_images_in_no_split_of_a_divided_set_become_one(target, file, tmp_path):
    text = cvat_file(a="", b="").replace('name="b.png"', 'name="b.png" subset="Train"')
    put(tmp_path / "in", {**images("images/{}.png"), "annotations.xml": text})
    assert convert(tmp_path / "in", tmp_path / "out", target).splits == {"default": 1, "train": 1}
    assert all((tmp_path / "out" / file.format(split)).is_file() for split in ("default", "train"))


def test_images_of_one_name_in_two_splits_stay_two(tmp_path):
    files = yolo()
    files["images/val/a.png"], files["labels/val/a.txt"] = files.pop("images/val/b.png"), files.pop("labels/val/b.txt")
    put(tmp_path / "in", files)
    convert(tmp_path / "in", tmp_path / "out", "voc")
    assert sorted(p.stem for p in (tmp_path / "out/JPEGImages").iterdir()) == ["train_a", "val_a"]
    assert (tmp_path / "out/ImageSets/Main/val.txt").read_text() == "val_a\n"


def test_a_mistake_stops_before_anything_is_written_or_leaves_the_image_out(tmp_path, capsys):
    put(
        tmp_path / "in",
        FORMATS["labelme"]() | {"b.json": {"shapes": [shape("", (0, 0, 9, 9)), shape("cat", (5, 5, 5, 9))]}},
    )
    assert main(["data", "convert", str(tmp_path / "in"), str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err.splitlines()
    assert [line.partition(": shape ")[2][:6] for line in told[:2]] == ["1 of 2", "2 of 2"]
    assert told[2].endswith("2 mistakes; correct them, or add --on-bad skip to leave their images out")
    assert not (tmp_path / "out").exists()
    assert main(["data", "convert", str(tmp_path / "in"), str(tmp_path / "out"), "--on-bad", "skip"]) == 0
    assert "1 image (not divided into splits), 2 objects of 2 classes" in (told := capsys.readouterr().out)
    assert told.count("left out: ") == 2
    assert list(WRITERS) == ["voc", "coco", "yolo"]


def test_the_first_mistake_is_told_where_all_images_are_left_out(tmp_path, capsys):
    put(tmp_path / "in", {**images(), "a.json": {"shapes": [shape("", (0, 0, 9, 9))] * 2}})
    assert main(["data", "convert", str(tmp_path / "in"), str(tmp_path / "out"), "--on-bad", "skip"]) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert "no image to convert: all are broken, the first: " in told and "has label ''" in told


def test_a_folder_that_is_not_empty_is_not_written_into(tmp_path):
    put(tmp_path, {"in/a.txt": "", "out/mine.txt": "x"})
    with pytest.raises(DataError, match="is there already and is not empty"):
        convert(tmp_path / "in", tmp_path / "out", "voc")
    assert Path(tmp_path / "out/mine.txt").read_text() == "x"
