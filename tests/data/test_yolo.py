"""YOLO's folders as a data set."""

import pytest

from detkit.data.yolo import YOLO
from detkit.errors import ConfigError, DataError
from detkit.structures import OTHER_CLASS
from tests.data.labels.folders import BOXES, picture, put, yolo, yolo_row


def opened(root, *splits, **given):
    return YOLO(splits=splits, on_bad="stop", root=str(root), **given)


def test_rows_become_boxes_in_pixels(tmp_path):
    (sample,) = opened(put(tmp_path, yolo()), "train")
    assert sample.annotations.boxes.tensor.tolist() == [pytest.approx(box) for _, box in BOXES["a"]]
    assert sample.annotations.labels.tolist() == [0, 1]


def test_val_stands_for_test_and_train_for_trainval(tmp_path):
    data = opened(put(tmp_path, yolo()), "test")
    assert [sample.image_id for sample in data] == ["b"]
    assert data.warnings == [f"{tmp_path}: no split 'test'; instead of it: val"]
    assert [sample.image_id for sample in opened(tmp_path, "trainval")] == ["a"]


def test_a_split_that_nothing_stands_for_is_refused_with_what_there_is(tmp_path):
    with pytest.raises(DataError, match=r"no split 'minival' in .* There is: train, val. .*DATA.YOLO.DRAW_SPLITS=true"):
        opened(put(tmp_path, yolo()), "minival")


def test_splits_of_a_flat_folder_are_drawn(tmp_path):
    files = {f"{n}.png": picture() for n in range(10)} | {f"{n}.txt": yolo_row(*BOXES["b"][0]) for n in range(10)}
    put(tmp_path, files | {"classes.txt": "cat\ndog\n"})
    sizes = {split: len(opened(tmp_path, split)) for split in ("train", "val", "test", "trainval", "all")}
    assert sizes == {"train": 6, "val": 2, "test": 2, "trainval": 8, "all": 10}


@pytest.mark.parametrize(
    "pattern",
    ["{split}/images/{name}.png {split}/labels/{name}.txt", "images/{split}/{name}.png labels/{split}/{name}.txt"],
)
def test_layouts_of_roboflow_and_ultralytics(pattern, tmp_path):
    image, text = pattern.split()
    for split, name in (("train", "a"), ("valid", "b")):
        rows = "".join(yolo_row(*thing) for thing in BOXES[name])
        put(tmp_path, {image.format(split=split, name=name): picture(), text.format(split=split, name=name): rows})
    folder = image.format(split="{}", name="a").rpartition("/")[0]
    splits = f"train: ../{folder.format('train')}\nval: ../{folder.format('valid')}\n"
    put(tmp_path, {"data.yaml": splits + "names: {0: cat, 1: dog}\n"})
    assert [s.image_id for s in opened(tmp_path, "train", "val")] == ["a", "b"]


def test_list_files_name_the_images_of_a_split(tmp_path):
    files = yolo() | {
        "data.yaml": "train: train.txt\nval: images/val\nnames: [cat, dog]\n",
        "train.txt": "./images/train/a.png\n",
    }
    assert [s.image_id for s in opened(put(tmp_path, files), "train")] == ["a"]


def test_classes_choose_and_others_are_ignored(tmp_path):
    (sample,) = opened(put(tmp_path, yolo()), "train", classes=("dog",), other_classes="ignore")
    assert sample.annotations.labels.tolist() == [OTHER_CLASS, 0]
    with pytest.raises(DataError, match=r"is of no class in DATA.YOLO.CLASSES"):
        opened(tmp_path, "train", classes=("dog",))


def test_mistakes_of_the_config_are_told():
    with pytest.raises(ConfigError, match=r"DATA.YOLO.ROOT is empty"):
        opened("", "train")
    with pytest.raises(DataError, match="data set YOLO: no folder nowhere"):
        opened("nowhere", "train")


def test_ids_do_not_depend_on_where_the_folder_lies(tmp_path):
    files = {f"set/{name}": content for name, content in yolo().items()} | {
        "set/data.yaml": "train: train\nval: val\nnames: [cat, dog]\n",
        "set/train/a.png": picture(90),
        "set/train/a.txt": yolo_row(*BOXES["a"][0]),
        "set/val/b.png": picture(120),
    }
    ids = [[s.image_id for s in opened(put(tmp_path / place, files) / "set", "train")] for place in ("x", "images")]
    assert ids == [["a"], ["a"]]
