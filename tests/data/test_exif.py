"""The rotation that EXIF notes, applied to images and boxes where a key asks for it."""

import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngImageFile

from detkit.cli.main import main
from detkit.data.exif import orientation_of, upright_boxes, upright_pixels
from detkit.data.images import read_image, sample_image
from detkit.data.labels.convert import convert
from detkit.data.voc import VOC
from detkit.errors import DataError
from detkit.structures import Boxes
from tests.data.labels.folders import put, shape, voc_file, voc_object

STORED = (20, 40)


def photograph(path, orientation):
    """A photograph of STORED pixels, white in the box (4, 2, 10, 5) of the stored ones."""
    pixels = np.zeros((*STORED, 3), np.uint8)
    pixels[2:5, 4:10] = 255
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[274] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, exif=exif)
    return pixels


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_are_as_pillow_turns_them_and_the_box_goes_with_them(orientation, tmp_path):
    stored = photograph(tmp_path / "a.png", orientation)
    assert orientation_of(tmp_path / "a.png") == orientation
    upright = upright_pixels(stored, orientation)
    np.testing.assert_array_equal(upright, np.array(ImageOps.exif_transpose(Image.open(tmp_path / "a.png"))))
    x1, y1, x2, y2 = upright_boxes(Boxes.of([[4, 2, 10, 5]]), orientation, STORED).tensor[0].int().tolist()
    # 6 x 3 white pixels, all of them in the box, and the box holds no other
    assert (upright[y1:y2, x1:x2] == 255).all() and (upright == 255).sum() == 3 * 18 == 3 * (x2 - x1) * (y2 - y1)


@pytest.fixture
def folder(tmp_path):
    photograph(tmp_path / "in/a.png", 6)
    return put(tmp_path / "in", {"a.xml": voc_file(voc_object("cat", (4, 2, 10, 5)))})


def opened(root, **given):
    return VOC(splits=("all",), on_bad="stop", needs_images=True, root=str(root), **given)


def test_nothing_is_turned_unasked(folder):
    (sample,) = data = opened(folder)
    assert (sample.size, sample.orientation, data.warnings) == (STORED, 1, [])
    np.testing.assert_array_equal(sample_image(sample), read_image(folder / "a.png"))


def test_image_and_boxes_are_turned_alike(folder):
    (sample,) = data = opened(folder, exif="turn")
    # 6 turns to the right: what was 2 to 5 from the top of 20 is 15 to 18 from the left
    assert (sample.size, sample.annotations.boxes.tensor.tolist()) == ((40, 20), [[15, 4, 18, 10]])
    assert (sample_image(sample)[4:10, 15:18] == 255).all()
    assert data.warnings == ["EXIF: turn: 1 photograph turned upright, the first: a"]
    assert data.fingerprint(truths=False) != opened(folder).fingerprint(truths=False)


def test_boxes_of_the_upright_photograph_stay(folder):
    size = "<size><width>20</width><height>40</height></size>"
    put(folder, {"a.xml": voc_file(voc_object("cat", (15, 4, 18, 10)), size=size)})
    assert opened(folder).warnings == [f"{folder}/a.xml: gives 20x40 pixels, its image has 40x20"]
    (sample,) = data = opened(folder, exif="upright")
    assert sample.annotations.boxes.tensor.tolist() == [[15, 4, 18, 10]]
    assert data.warnings == ["EXIF: upright: 1 photograph turned upright, the first: a"]


def test_data_check_names_turned_photographs(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    words = ["DATA.ROOT", str(folder), "DATA.FINETUNE=all", "DATA.TRAIN=all", "DATA.TEST=all"]
    assert main(["data", "check", "--config", "projects/rcnn/custom.yaml", *words]) == 0
    out = capsys.readouterr().out
    assert f"DATA.ROOT {folder}: VOC (1 XML file in {folder})" in out
    assert (
        "warning: image a: EXIF notes that it is to be turned by 90 degrees to the right; its pixels are taken as"
        in out
    )


def test_convert_asks_what_boxes_refer_to_where_sizes_tell(folder, tmp_path):
    labels = {"a.json": {"shapes": [shape("cat", (15, 4, 18, 10))], "imageHeight": 40, "imageWidth": 20}}
    put(folder, labels)
    with pytest.raises(
        DataError, match=r"a.png: EXIF turns it, and its labels are of the upright pixels: --exif upright"
    ):
        convert(folder, tmp_path / "out", "voc", source="labelme")
    done = convert(folder, tmp_path / "out", "voc", source="labelme", frame="upright")
    assert "EXIF turns 1 photograph; boxes were taken to refer to the upright pixels" in done.notes[0]
    (sample,) = opened(tmp_path / "out", exif="upright")
    assert (sample_image(sample)[4:10, 15:18] == 255).all()
    assert sample.annotations.boxes.tensor.tolist() == [[15, 4, 18, 10]]


@pytest.mark.parametrize("is_behind", [False, True])
def test_a_png_is_decoded_only_where_its_tags_may_stand_behind_its_pixels(is_behind, tmp_path, monkeypatch):
    photograph(tmp_path / "a.png", 6)
    content, decoded = (tmp_path / "a.png").read_bytes(), []
    start = content.index(b"eXIf") - 4
    chunk = content[start : start + 12 + int.from_bytes(content[start : start + 4], "big")]
    content = content.replace(chunk, b"")
    end = content.index(b"IEND") - 4
    (tmp_path / "a.png").write_bytes(content[:end] + chunk * is_behind + content[end:])
    load = PngImageFile.load
    monkeypatch.setattr(PngImageFile, "load", lambda self: decoded.append(1) or load(self))
    assert (orientation_of(tmp_path / "a.png"), bool(decoded)) == ((6, True) if is_behind else (1, False))


def test_the_orientation_of_a_photograph_that_pillow_finds_too_large_is_read(tmp_path, monkeypatch):
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (30, 20)).save(tmp_path / "a.jpg", exif=exif)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow refuses more than twice as many
    assert orientation_of(tmp_path / "a.jpg") == 6
    assert Image.MAX_IMAGE_PIXELS == 100
