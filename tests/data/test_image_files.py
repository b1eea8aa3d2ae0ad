from pathlib import Path

import pytest

from detkit.data.image_files import image_files
from detkit.errors import DataError


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder with images and other things, in the working folder."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.jpg", "B.GIF", "c.tif", "d.webp", "e.jfif", "f.heic", "g.heic", "notes.TXT", "none", "sub/a.jpg"):
        path = Path("photos", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    Path("photos/album.png").mkdir()
    Path("photos/linked").symlink_to("sub")
    return Path("photos")


IMAGES = ["B.GIF", "a.jpg", "c.tif", "d.webp", "e.jfif"]


def found(*words, output="found"):
    return image_files(words, Path(output))


def paths(*words, **given):
    return [path.relative_to("photos").as_posix() for _, path in found(*words, **given).named]


def test_images_of_a_folder_are_those_that_the_decoder_knows_and_the_rest_is_counted(photos):
    assert paths("photos") == [*IMAGES, "sub/a.jpg"]
    counted = found("photos")
    assert counted.left_out == {".heic": 2, ".txt": 1, "": 2}  # "none", and the link
    assert counted.text_of_left_out().startswith("not read: 2 without ending, 2 .heic, 1 .txt; images end in .jpg, ")
    assert found("photos", "photos").left_out == {".heic": 4, ".txt": 2, "": 4}


def test_what_lies_in_the_output_is_neither_read_nor_counted(photos):
    assert paths("photos", output="photos/sub") == IMAGES
    assert len(paths("photos", output="photos")) == 6


@pytest.mark.parametrize(
    ("word", "images", "left_out"),
    [
        ("photos/*.jpg", ["a.jpg"], {}),
        ("photos/[ac].*", ["a.jpg", "c.tif"], {}),
        ("photos/?.*", IMAGES, {".heic": 2}),
        ("photos/**/*.jpg", ["a.jpg", "sub/a.jpg"], {}),
        ("ph*s/s*b", ["sub/a.jpg"], {}),
    ],
)
def test_a_pattern_that_the_shell_has_not_resolved_stands_for_what_matches(photos, word, images, left_out):
    assert paths(word) == images
    assert found(word).left_out == left_out


def test_a_pattern_may_be_an_absolute_path(photos):
    assert [path.name for _, path in found(f"{photos.resolve()}/*.jpg").named] == ["a.jpg"]


def test_a_name_is_no_pattern_where_there_is_such_a_file(photos):
    for name in ("[ab].png", "a.png"):
        (photos / name).touch()
    assert paths("photos/[ab].png") == ["[ab].png"]


def test_a_file_that_is_named_is_an_image_whatever_its_ending(photos):
    assert paths("photos/none", "photos/f.heic") == ["none", "f.heic"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("", "'': no image or folder has an empty name; write . for the working folder"),
        ("gone.jpg", "gone.jpg: no such image or folder"),
        ("photos/*.bmp", "photos/*.bmp: no such image or folder, and nothing matches it"),
        ("a**", "a**: "),
        ("photos/*.heic", "photos/*.heic: no image there; not read: 2 .heic; images end in .jpg, "),
        ("photos/album.png", "photos/album.png: no image there; not read: nothing; images end in .jpg, "),
    ],
)
def test_words_without_an_image_say_what_is_there(photos, word, message):
    with pytest.raises(DataError) as error:
        found("photos/a.jpg", word)
    assert str(error.value).startswith(message)


def test_images_of_one_name_get_pictures_of_different_names(tmp_path):
    words = []
    for folder, name in (("1", "a.jpg"), ("2", "a.jpg"), ("3", "a.jpg_2"), ("4", "b.jpg")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).touch()
        words.append(str(tmp_path / folder / name))
    assert [name for name, _ in found(*words).named] == ["a.jpg", "a.jpg_2", "a.jpg_2_2", "b.jpg"]
