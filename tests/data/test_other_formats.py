import pytest

from detkit.data.voc import VOC
from detkit.errors import DataError

EXPECTED = (
    "Detkit trains on PASCAL VOC's XML files, COCO's instances JSON and YOLO's text files (DATA.ROOT=FOLDER recognises"
)
YOLO = "2 text files with the names of images, as YOLO writes them"


def refused(root, **keys):
    with pytest.raises(DataError) as error:
        VOC(splits=("train",), on_bad="stop", needs_images=True, root=str(root), **keys)
    assert "set DATA.VOC.CLASSES" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["a.txt", "b.txt"], YOLO),
        (["labels/a.txt", "labels/b.txt", "classes.txt"], YOLO),
        (["a.json", "b.json"], "2 JSON files with the names of images, as LabelMe writes them"),
        (["masks/a.png", "b_mask.png"], "2 images that look like masks"),
        (["annotations/instances_train.json"], "1 JSON file that may be COCO's ("),
        (["_annotations.csv"], "1 CSV file ("),
    ],
)
def test_a_folder_of_another_format_is_told_what_it_is_and_what_is_read(tmp_path, picture, files, found):
    for name in ("a", "b"):
        picture(tmp_path / f"{name}.jpg")
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        picture(tmp_path / name) if name.endswith(".png") else (tmp_path / name).write_text("0 0.5 0.5 0.1 0.1")
    for keys in ({}, {"classes": ("cat",)}):
        text = refused(tmp_path, **keys)
        assert f"Found there: {found}" in text and EXPECTED in text
        assert "no XML file in" in text


def test_images_alone_are_told_to_lack_xml_files(tmp_path, picture):
    picture(tmp_path / "a.jpg")
    assert f"Found there: 1 images in {tmp_path}. {EXPECTED}" in refused(tmp_path)


def test_images_alone_are_legal_where_their_classes_are_given(tmp_path, picture):
    picture(tmp_path / "a.jpg")
    given = {"on_bad": "stop", "needs_images": True, "classes": ("cat",)}
    assert VOC(splits=("train",), root=str(tmp_path), **given)[0].annotations is None


def test_images_in_folders_below_are_named(tmp_path, picture, voc):
    for split, count in (("train", 2), ("test", 1)):
        for n in range(count):
            picture(tmp_path / split / f"{n}.jpg")
            (tmp_path / split / f"{n}.xml").write_text(voc.xml())
    text = refused(tmp_path)
    assert "no image in" in text
    assert f"1 images and 1 XML files in {tmp_path}/test; 2 images and 2 XML files in {tmp_path}/train" in text


def test_an_empty_folder_is_told_so(tmp_path):
    assert "Found there: no image and no annotation." in refused(tmp_path)
