import os
from pathlib import Path

import pytest

from detkit.data.image_folders import ImageFolders
from detkit.errors import ConfigError, DataError


@pytest.fixture
def root(tmp_path, picture):
    for n, name in enumerate(("train/cow/b.jpg", "train/cow/a.PNG", "train/bee/images/x.jpg", "val/ant/1.jpeg")):
        picture(tmp_path / name, size=(20 + n, 30), value=n)
    (tmp_path / "train" / "cow" / "notes.txt").write_text("no image")
    (tmp_path / "train" / "cow_boxes.txt").write_text("no class")
    return tmp_path


def load(root, *splits, on_bad="stop"):
    return ImageFolders(splits=splits, on_bad=on_bad, root=str(root))


def test_the_whole_image_is_the_one_ground_truth(root):
    sample = load(root, "val")[0]
    assert sample.size == (23, 30)
    assert sample.annotations.boxes.tensor.tolist() == [[0, 0, 30, 23]]
    assert sample.annotations.labels.tolist() == [0]


def test_labels_are_alphabetical_over_all_splits(root):
    assert load(root, "train").class_names == load(root, "val").class_names == ("ant", "bee", "cow")


def test_images_come_sorted_within_their_class_and_deeper_folders_count(root):
    dataset = load(root, "train")
    assert [sample.image_id for sample in dataset] == ["train/bee/images/x", "train/cow/a", "train/cow/b"]
    assert [int(sample.annotations.labels[0]) for sample in dataset] == [1, 2, 2]


def test_splits_are_joined_in_the_order_asked(root):
    assert [sample.image_id[:3] for sample in load(root, "val", "train")] == ["val", "tra", "tra", "tra"]


def test_classes_txt_gives_the_order(root):
    (root / "classes.txt").write_text("cow\tBos taurus\nowl a bird\n\nbee\nant\n")
    dataset = load(root, "train")
    assert dataset.class_names == ("cow", "owl", "bee", "ant")
    assert [int(sample.annotations.labels[0]) for sample in dataset] == [2, 0, 0]


def test_a_folder_that_classes_txt_does_not_name_is_an_error(root):
    (root / "classes.txt").write_text("cows\nbee\nant\n")
    with pytest.raises(DataError, match=r"cow: its name is no class of .*classes\.txt\. Did you mean cows\?"):
        load(root, "train")
    (root / "classes.txt").write_text("bee\nbee\n")
    with pytest.raises(DataError, match=r"classes\.txt: class bee stands there twice"):
        load(root, "train")


def test_a_broken_image_stops_or_is_listed(root):
    (root / "train/cow/a.PNG").write_bytes(b"\x89PNG")
    with pytest.raises(DataError, match=r"a\.PNG: cannot read the image"):
        load(root, "train")
    dataset = load(root, "train", on_bad="skip")
    assert len(dataset) == 2 and dataset.skipped[0].startswith("train/cow/a: ")


def test_a_split_without_images_is_an_error(root):
    (root / "test").mkdir()
    with pytest.raises(DataError, match="data set ImageFolders: no image to use: the split is empty"):
        load(root, "test")


def test_a_class_without_images_is_an_error(root):
    (root / "val/bee").mkdir()
    (root / "val/bee/notes.txt").write_text("no image")
    with pytest.raises(DataError, match=r"val/bee: no image in the folder of this class; put some there \(\.jpg, "):
        load(root, "val")


def test_what_is_left_out_is_told(root):
    (root / "val/loose.png").write_bytes(b"")
    for name in ("notes.txt", "more.heic"):
        (next(p for p in (root / "val").iterdir() if p.is_dir()) / name).touch()
    loose, others = load(root, "val").warnings
    assert "val: 1 images in no class's folder were left out, the first: " in loose and loose.endswith("loose.png")
    assert "val: 2 files without a suffix of images were left out, the first: " in others
    assert others.endswith("more.heic")


def test_a_list_of_classes_that_is_no_file_is_refused(root):
    os.mkfifo(root / "classes.txt")
    with pytest.raises(DataError, match=r"classes\.txt: cannot read the classes: Not a regular file"):
        load(root, "val")
    (root / "classes.txt").unlink()
    (root / "classes.txt").symlink_to("gone")
    with pytest.raises(DataError, match=r"classes\.txt: cannot read the classes: No such file"):
        load(root, "val")


def test_a_folder_that_cannot_be_read_is_named(root, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(DataError, match=": cannot be read: Permission denied"):
        load(root, "val")


def test_missing_folders_say_what_there_is(root):
    with pytest.raises(DataError, match=r"no split 'trian' in .*\. Did you mean train\? There is: train, val"):
        load(root, "trian")
    with pytest.raises(DataError, match=r"no folder .*none \(looked in .*none\); set PRETRAIN_DATA.Image"):
        load(root / "none", "train")
    with pytest.raises(ConfigError, match=r"^PRETRAIN_DATA.ImageFolders.ROOT is empty; .* or set BACKBONE.WEIGHTS$"):
        ImageFolders(splits=("train",), on_bad="stop")


def test_photographs_are_counted_as_their_notes_count_them(shared):
    dataset = load(shared / "data/imagenette_224px_sub", "val")
    assert (len(dataset), len(dataset.class_names)) == (200, 10)
    dataset = load(shared / "data/tiny_imagenet_sub", "val")
    assert (len(dataset), dataset.class_names[:2]) == (400, ("n01698640", "n01768244"))
