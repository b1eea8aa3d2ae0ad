import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from detkit.data.base import Dataset
from detkit.errors import DataError
from detkit.evaluation import voc_files
from detkit.evaluation.coco_files import write_coco
from detkit.evaluation.detection_files import read_detections
from detkit.evaluation.voc_files import read_voc, write_voc
from detkit.structures import Boxes, Detections, Sample


class Named(Dataset):
    """Images and classes by name, without files."""

    def __init__(self, image_ids=("000012", "my photo"), class_names=("dog", "hot_dog", "tv/monitor", "猫")):
        self.image_ids, self.class_names, self.skipped, self.warnings = image_ids, class_names, [], []

    def __len__(self):
        return len(self.image_ids)

    def __getitem__(self, i):
        return Sample(self.image_ids[i], Path("x.jpg"), (500, 500))

    def fingerprint(self, *, truths=True):
        return ""


class Numbered(Named):
    """A data set with COCO's numbers."""

    category_ids = (3, 17, 44, 90)
    image_numbers = (42, 581929)


def found(boxes=(), scores=(), labels=()):
    return Detections.of(Boxes.of(list(boxes)), list(scores), list(labels))


def random_detections(n=200):
    rng = np.random.default_rng(0)
    corner = rng.random((n, 2)) * 400
    boxes = np.concatenate([corner, corner + rng.random((n, 2)) * 100], 1)
    return Detections.of(
        Boxes.of(boxes), torch.from_numpy(rng.normal(size=n).astype(np.float32)), rng.integers(0, 4, n).tolist()
    )


def assert_same(a, b):
    """Equal to the bit but for the order of classes, which a VOC folder does not keep."""
    order = [d.labels.argsort(stable=True) for d in (a, b)]
    assert torch.equal(a.boxes.tensor[order[0]], b.boxes.tensor[order[1]])
    assert torch.equal(a.scores[order[0]], b.scores[order[1]])
    assert torch.equal(a.labels[order[0]], b.labels[order[1]])


def refused(path, text, match, dataset=None):
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=match):
        read_detections(path if path.suffix == ".json" else path.parent, dataset or Named())


def test_own_files_come_back_where_a_class_ends_like_a_split_and_a_class(tmp_path):
    twins = Named(class_names=("cat", "b_cat"))
    # both files of split a_b end with _cat, the first with _b_cat too
    cats = [found([[1, 2, 3, 4]], [0.5], [0]), found([[1, 2, 3, 4]], [0.25], [1])]
    write_voc(tmp_path, "a_b", twins, cats)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["comp4_det_a_b_b_cat.txt", "comp4_det_a_b_cat.txt"]
    assert [one.labels.tolist() for one in read_detections(tmp_path, twins, "a_b")] == [[0], [1]]


def test_voc_files_come_back_to_the_bit(tmp_path):
    detections = [random_detections(), found()]
    write_voc(tmp_path / "new" / "voc", "test", Named(), detections)
    names = {f.name for f in (tmp_path / "new" / "voc").iterdir()}
    assert names == {f"comp4_det_test_{name}.txt" for name in ("dog", "hot_dog", "tv%2Fmonitor", "猫")}
    for before, after in zip(detections, read_detections(tmp_path / "new" / "voc", Named()), strict=True):
        assert_same(before, after)


def test_a_voc_line_holds_inclusive_pixels_from_one(tmp_path):
    # Exclusive (0, 9, 10, 20) are columns 1..10 and rows 10..20.
    write_voc(tmp_path, "test", Named(), [found(), found([[0, 9, 10, 20]], [0.5], [0])])
    assert (tmp_path / "comp4_det_test_dog.txt").read_text() == "my photo 0.5 1 10 10 20\n"


def test_comp3_is_read_and_a_class_without_file_is_told(tmp_path, caplog):
    (tmp_path / "comp3_det_val_test_猫.txt").write_text("\n000012 0.25 1.0 10.0 10.0 20.5\n", encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        (first, second) = read_detections(tmp_path, Named())
    assert (first.boxes.tensor.tolist(), first.labels.tolist(), len(second)) == ([[0, 9, 10, 20.5]], [3], 0)
    assert "no file for dog, hot_dog, tv/monitor; taken as no detections" in caplog.text


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("000012 0.5 1 2 3", r"comp4_det_t_dog.txt:2: 5 columns; expected six: image score x1 y1 x2 y2"),
        ("000012 high 1 2 3 4", r"txt:2: 'high 1 2 3 4' are not five finite numbers"),
        ("000012 nan 1 2 3 4", r"txt:2: 'nan 1 2 3 4' are not five finite numbers"),
        ("000012 0.5 1 2 1e39 4", r"txt:2: '0.5 1 2 1e39 4' are not five finite numbers"),
        ("000013 0.5 1 2 3 4", r"txt:2: image '000013' is not in the data set. Did you mean 000012\?"),
    ],
)
def test_a_bad_voc_line_is_named_by_file_and_line(tmp_path, line, message):
    refused(tmp_path / "comp4_det_t_dog.txt", f"000012 0.5 1 2 3 4\n{line}\n", message)


def test_a_voc_file_of_an_unknown_class_is_named(tmp_path):
    message = r"comp4_det_test_hog.txt: its class is none of the data set's. Did you mean dog\? Expected"
    refused(tmp_path / "comp4_det_test_hog.txt", "", message)


def test_two_voc_files_of_one_class_are_refused(tmp_path):
    (tmp_path / "comp3_det_test_dog.txt").write_text("")
    refused(tmp_path / "comp4_det_test_dog.txt", "", "class 'dog' also has comp3_det_test_dog.txt")


def test_a_voc_file_that_is_no_text_is_named(tmp_path):
    (tmp_path / "comp4_det_test_dog.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"comp4_det_test_dog.txt: not a text file in UTF-8"):
        read_detections(tmp_path, Named())


def test_an_empty_folder_another_file_and_no_path_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"no detection files; expected one comp4_det_<split>_<class>.txt"):
        read_detections(tmp_path, Named())
    with pytest.raises(DataError, match=r"gone does not exist; expected a folder of comp4_det"):
        read_detections(tmp_path / "gone", Named())
    with pytest.raises(DataError, match=r"gone.json: no such file"):
        read_detections(tmp_path / "gone.json", Named())
    (tmp_path / "x.txt").write_text("")
    with pytest.raises(DataError, match=r"x.txt is neither; expected"):
        read_detections(tmp_path / "x.txt", Named())


@pytest.mark.parametrize("dataset", [Named(), Numbered()])
def test_coco_results_come_back(tmp_path, dataset):
    detections = [found(), random_detections()]
    write_coco(tmp_path / "new" / "results.json", dataset, detections)
    for before, after in zip(detections, read_detections(tmp_path / "new" / "results.json", dataset), strict=True):
        assert_same(before, after)


def test_coco_results_carry_the_numbers_of_the_data_set(tmp_path):
    detections = [found([[1, 2, 11, 22]], [0.5], [1]), found()]
    bbox = {"bbox": [1, 2, 10, 20], "score": 0.5}
    for dataset, ids in ((Numbered(), {"image_id": 42, "category_id": 17}), (Named(), {"image_id": "000012"})):
        write_coco(tmp_path / "r.json", dataset, detections)
        assert json.loads((tmp_path / "r.json").read_text()) == [{"category_id": 2} | ids | bbox]


def test_no_detections_are_an_empty_list(tmp_path):
    write_coco(tmp_path / "r.json", Named(), [found(), found()])
    assert json.loads((tmp_path / "r.json").read_text()) == []
    assert [len(d) for d in read_detections(tmp_path / "r.json", Named())] == [0, 0]


def result(**changes):
    return json.dumps([{"image_id": 42, "category_id": 3, "bbox": [0, 0, 5, 5], "score": 0.5} | changes])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1,\n", r"r.json:2: not readable as JSON"),
        ("{}", r"r.json: holds a JSON dict; expected COCO results, a list of"),
        ("[1]", r"r.json: result 0 is 1; expected {\"image_id\""),
        (result(bbox=[0, 0, 5]), r"result 0 has bbox \[0, 0, 5\], score 0.5; expected four finite numbers"),
        (result(bbox=5), "result 0 has bbox 5, score"),
        (result(score=float("nan")), "score nan; expected four finite numbers and one"),
        (result(score=True), "score True; expected"),
        (result(image_id=43), r"result 0: image_id 43 is not in the data set; choose the split that has it"),
        (result(image_id=[42]), r"image_id \[42\] is not in the data set"),
        (result(category_id=4), r"result 0: category_id 4 is not in the data set; expected one of \[3, 17, 44, 90\]"),
        (result(category_id="3"), "category_id '3' is not in the data set"),
    ],
)
def test_bad_coco_results_are_named(tmp_path, text, message):
    refused(tmp_path / "r.json", text, message, Numbered())


def test_a_json_file_that_is_no_text_is_named(tmp_path):
    (tmp_path / "r.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"r.json: not a text file in UTF-8"):
        read_detections(tmp_path / "r.json", Named())


def test_a_file_is_read_alike_at_once_and_line_by_line(tmp_path, monkeypatch):
    shapes, rng = Named(image_ids=("000012", "a", "b")), np.random.default_rng(0)
    for name in ("dog", "hot_dog", "猫"):
        rows = [f"a {rng.normal()} {' '.join(map(str, rng.normal(size=4) * 99))}" for _ in range(4)]
        rows += [f"{('b', '000012')[i % 2]} 0.1 1 2 30.25 1e2" for i in range(5)]
        (tmp_path / f"comp4_det_test_{name}.txt").write_text("\n".join(rows))
    at_once = read_voc(tmp_path, shapes)
    monkeypatch.setattr(voc_files, "_at_once", lambda lines, images: None)
    for one, other in zip(at_once, read_voc(tmp_path, shapes), strict=True):
        for name in ("scores", "labels", "proposal_rows"):
            assert torch.equal(getattr(one, name), getattr(other, name))
        assert torch.equal(one.boxes.tensor, other.boxes.tensor)
