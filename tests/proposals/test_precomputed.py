import pickle
import re
import zlib

import numpy as np
import pytest
import scipy.sparse
from scipy.io import savemat

from detkit.data.images import read_image
from detkit.errors import ConfigError, DataError
from detkit.proposals.precomputed import Precomputed
from detkit.proposals.stored import read_mat

IMAGE = np.zeros((50, 80, 3), np.uint8)
BOXES = np.array([[0, 0, 80, 50], [1.5, 2, 10, 20]], np.float32)


def cells(values):
    array = np.empty((len(values), 1), object)
    array[:, 0] = values
    return array


def rows(generator, image_id="a"):
    return generator.propose(IMAGE, image_id).boxes.tensor.tolist()


def test_folder_of_npz_is_read_by_image_id(tmp_path):
    np.savez(tmp_path / "a.npz", boxes=BOXES, objectness=np.array([0.5, 2], np.float32))
    np.savez(tmp_path / "b.npz", boxes=np.zeros((0, 4)))
    generator = Precomputed(path=str(tmp_path))
    found = generator.propose(IMAGE, "a")
    assert found.boxes.tensor.tolist() == BOXES.tolist()
    assert found.objectness.tolist() == [0.5, 2] and found.image_size == (50, 80)
    assert len(generator.propose(IMAGE, "b")) == 0


def test_image_ids_may_name_subfolders(tmp_path):
    (tmp_path / "train").mkdir()
    np.savez(tmp_path / "train" / "a.npz", boxes=BOXES)
    assert rows(Precomputed(path=str(tmp_path)), "train/a") == BOXES.tolist()


def test_one_npz_holds_an_array_for_each_image(tmp_path):
    np.savez(tmp_path / "all.npz", a=BOXES, b=BOXES[:1])
    generator = Precomputed(path=str(tmp_path / "all.npz"))
    assert rows(generator) == BOXES.tolist() and rows(generator, "b") == BOXES[:1].tolist()
    assert rows(pickle.loads(pickle.dumps(generator))) == BOXES.tolist()


@pytest.mark.parametrize(
    ("order", "base", "stored"),
    [
        ("x1y1x2y2", 0, [[2, 3, 9, 19]]),
        ("x1y1x2y2", 1, [[3, 4, 10, 20]]),
        ("y1x1y2x2", 0, [[3, 2, 19, 9]]),
        ("y1x1y2x2", 1, [[4, 3, 20, 10]]),
    ],
)
@pytest.mark.parametrize("name", ["a.mat", "a_boxes.mat"])
def test_mat_boxes_are_inclusive_in_the_order_and_base_given(tmp_path, name, order, base, stored):
    # inclusive 0-based columns 2..9 and rows 3..19 are x 2 to 10 and y 3 to 20
    savemat(tmp_path / name, {"boxes": np.array(stored, np.uint16)})
    assert rows(Precomputed(path=str(tmp_path), order=order, base=base)) == [[2, 3, 10, 20]]


def test_mat_of_cell_arrays_is_read_as_the_voc2007_file(tmp_path):
    savemat(
        tmp_path / "voc.mat",
        {"images": cells(["a", "b"]), "boxes": cells([np.array([[1, 1, 50, 80]], float), np.zeros((0, 4))])},
    )
    generator = Precomputed(path=str(tmp_path / "voc.mat"), order="y1x1y2x2", base=1)
    assert rows(generator) == [[0, 0, 80, 50]] and rows(generator, "b") == []


@pytest.mark.parametrize(("image_id", "count"), [("000004", 2888), ("001551", 2057)])
def test_authors_boxes_of_two_voc_images_lie_inside_them(shared, image_id, count):
    folder = shared / "data/oracles/fastrcnn_demo_ss_boxes"
    image = read_image(folder / f"{image_id}.jpg")
    found = Precomputed(path=str(folder), order="x1y1x2y2", base=0).propose(image, image_id)
    height, width = image.shape[:2]
    assert len(found) == count
    assert found.boxes.tensor[:, :2].min() == 0
    assert found.boxes.tensor.max(0).values.tolist()[2:] == [width, height]


@pytest.mark.parametrize(
    ("arrays", "text"),
    [
        ({"boxes": [[0, 0, 81, 50]]}, r"image a: box 0 is not inside the image of 80 x 50 pixels: \[0.0, 0.0, 81.0"),
        ({"boxes": [[0, 0, 5, 5], [-1, 0, 5, 5]]}, "box 1 is not inside"),
        ({"boxes": [[0, 0, float("nan"), 5]]}, "box 0 is not inside"),
        ({"boxes": [[0, 0, 5, 5], [5, 5, 5, 9]]}, "box 1 has no area"),
        ({"boxes": [[0, 0, 5]]}, r"expected boxes \(N, 4\), got \(1, 3\)"),
        ({"boxes": [["x", "y", "z", "w"]]}, r"expected numbers \(N, 4\)"),
        ({"boxes": [[0, 0, 5, 5]], "objectness": [1, 2]}, "1 boxes but 2 objectness values"),
        ({"box": [[0, 0, 5, 5]]}, "no array 'boxes'; it holds box"),
    ],
)
def test_bad_boxes_are_named_by_file_image_and_row(tmp_path, arrays, text):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=text) as error:
        Precomputed(path=str(tmp_path)).propose(IMAGE, "a")
    assert str(error.value).startswith(str(tmp_path / "a.npz"))


def test_image_without_proposals_is_named(tmp_path):
    np.savez(tmp_path / "all.npz", b=BOXES)
    with pytest.raises(DataError, match=r"no proposals for image 'a'; looked for a.npz, a.mat, a_boxes.mat"):
        rows(Precomputed(path=str(tmp_path)))
    with pytest.raises(DataError, match=r"all.npz: no proposals for image 'a'; it holds 1 other images"):
        rows(Precomputed(path=str(tmp_path / "all.npz")))


@pytest.mark.parametrize(("path", "problem"), [("", "not set"), ("nowhere", "nowhere does not exist")])
def test_path_that_does_not_exist_is_named(path, problem):
    for ask in (Precomputed.files, rows):
        with pytest.raises(ConfigError, match=rf"Precomputed.PATH: {problem}; give a folder"):
            ask(Precomputed(path=path))


@pytest.mark.parametrize("given", [{}, {"order": "y1x1y2x2"}, {"base": 0}])
@pytest.mark.parametrize("name", ["a.mat", ""])
def test_mat_is_refused_until_order_and_base_are_given(tmp_path, given, name):
    savemat(tmp_path / "a.mat", {"images": cells(["a"]), "boxes": cells([BOXES[:1]])})
    generator = Precomputed(path=str(tmp_path / name), **given)
    with pytest.raises(ConfigError, match=r"set ORDER to x1y1x2y2 or y1x1y2x2, and BASE, .*, to 0 or 1 \(ORDER is"):
        generator.files()


def test_mat_without_order_and_base_is_not_read_and_npz_needs_neither(tmp_path):
    savemat(tmp_path / "a.mat", {"boxes": np.array([[2, 3, 9, 19]])})
    with pytest.raises(ConfigError, match=r"\(ORDER is not set, BASE is 0\)"):
        rows(Precomputed(path=str(tmp_path), base=0))
    (tmp_path / "npz").mkdir()
    np.savez(tmp_path / "npz" / "a.npz", boxes=BOXES)
    assert Precomputed(path=str(tmp_path / "npz")).files() == (tmp_path / "npz" / "a.npz",)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "boxes.txt").write_text("1 2 3 4")
    with pytest.raises(ConfigError, match=r"boxes.txt is neither a folder nor .npz nor .mat"):
        rows(Precomputed(path=str(tmp_path / "boxes.txt")))


@pytest.mark.parametrize("name", ["a.npz", "a.mat"])
@pytest.mark.parametrize("content", [b"", b"no such format, but long enough to be read" * 9])
def test_broken_files_are_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}: not readable as \{name[1:]}"):
        rows(Precomputed(path=str(tmp_path)))


def test_pickled_objects_are_never_loaded(tmp_path):
    np.savez(tmp_path / "a.npz", boxes=np.array([{"x": 1}], object))
    with pytest.raises(DataError, match=r"not readable as .npz of plain arrays"):
        rows(Precomputed(path=str(tmp_path)))


def test_mat_of_one_image_outside_a_folder_says_where_it_belongs(tmp_path):
    savemat(tmp_path / "a.mat", {"boxes": BOXES})
    with pytest.raises(
        DataError, match=r"expected cell arrays 'images' and 'boxes', got boxes; .* belongs in a folder"
    ):
        rows(Precomputed(path=str(tmp_path / "a.mat")))


def test_as_many_images_as_boxes_are_expected(tmp_path):
    savemat(tmp_path / "v.mat", {"images": cells(["a", "b"]), "boxes": cells([BOXES])})
    with pytest.raises(DataError, match="2 images but boxes of 1"):
        rows(Precomputed(path=str(tmp_path / "v.mat")))


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    ("variables", "part"),
    [
        ({"boxes": {"a": 1}}, "an array of class 2; numbers, text and cell arrays of them are read"),
        ({"boxes": scipy.sparse.eye(3, format="csc")}, "an array of class 5;"),
    ],
)
def test_arrays_of_other_kinds_in_a_mat_file_are_refused(tmp_path, variables, part, compressed):
    savemat(tmp_path / "a.mat", variables, do_compression=compressed)
    with pytest.raises(DataError, match=re.escape(f"a.mat: not readable as .mat: {part}")):
        read_mat(tmp_path / "a.mat")


@pytest.mark.parametrize("compressed", [False, True])
def test_an_unknown_data_type_in_a_mat_file_is_refused_before_scipy_reads_it(tmp_path, compressed):
    savemat(tmp_path / "a.mat", {"boxes": np.ones((2, 4))}, do_compression=False)
    data = (tmp_path / "a.mat").read_bytes()
    place = data.rindex(np.ones((2, 4)).tobytes()) - 8  # the tag of the numbers: type 9, 64 bytes
    assert data[place : place + 8] == bytes([9, 0, 0, 0, 64, 0, 0, 0])
    data = data[:place] + bytes([200]) + data[place + 1 :]
    if compressed:
        packed = zlib.compress(data[128:])
        data = data[:128] + np.array([15, len(packed)], "<u4").tobytes() + packed
    (tmp_path / "a.mat").write_bytes(data)
    with pytest.raises(DataError, match="an array of class 6;"):  # scipy alone would end the process
        read_mat(tmp_path / "a.mat")
