import numpy as np
import pytest

from detkit.data.images import read_image
from detkit.errors import DataError
from detkit.visualize import write_image

IMAGE = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)


def test_a_png_comes_back_by_the_decoder_from_a_new_folder_with_any_name(tmp_path):
    path = tmp_path / "neu" / "图片.png"
    write_image(path, IMAGE)
    assert (read_image(path) == IMAGE).all()


def test_jpeg_is_told_by_the_ending_in_capitals_too(tmp_path):
    write_image(tmp_path / "a.JPG", IMAGE)
    assert (tmp_path / "a.JPG").read_bytes()[:2] == b"\xff\xd8"


@pytest.mark.parametrize("name", ["a.txt", "a"])
def test_another_ending_is_refused_before_anything_is_written(tmp_path, name):
    with pytest.raises(DataError, match=r"cannot write pictures that end in '.*'; use .png or .jpg"):
        write_image(tmp_path / "new" / name, IMAGE)
    assert not list(tmp_path.iterdir())
