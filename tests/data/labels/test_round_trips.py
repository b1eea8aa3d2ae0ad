"""Photographs with the labels of their own formats go through another format and come back as they were."""

import pytest

from detkit.data.coco import COCO
from detkit.data.labels.convert import convert
from detkit.data.labels.yolo import read_yolo


def rows(dataset):
    """Class, box, area and crowd of every object of each image."""
    found = {}
    for sample in dataset:
        truths = sample.annotations
        columns = (truths.labels, truths.boxes.tensor, truths.area, truths.crowd)
        names = [dataset.class_names[k] for k in truths.labels.tolist()]
        found[sample.image_id, sample.size] = list(zip(names, *(column.tolist() for column in columns[1:])))
    return found


def test_coco_to_voc_and_back_changes_no_ground_truth(shared, tmp_path):
    source = shared / "data/coco_train128"
    assert convert(source, tmp_path / "voc", "voc", link=True).num_objects == 939
    convert(tmp_path / "voc", tmp_path / "coco", "coco", link=True)
    before, after = (
        rows(COCO(splits=("all",), on_bad="stop", needs_images=False, root=str(root)))
        for root in (source, tmp_path / "coco")
    )
    assert before == after
    assert sum(crowd for objects in before.values() for *_, crowd in objects) == 10


@pytest.mark.parametrize("through", ["voc", "coco"])
def test_yolo_to_another_format_and_back_changes_no_letter(through, shared, tmp_path):
    convert(shared / "data/voc2012_20cls/VOC2012", tmp_path / "yolo", "yolo", link=True)
    convert(tmp_path / "yolo", tmp_path / "way", through, link=True)
    convert(tmp_path / "way", tmp_path / "back", "yolo", link=True)
    texts = [{p.name: p.read_text() for p in (tmp_path / n).glob("labels/*/*.txt")} for n in ("yolo", "back")]
    assert texts[0] == texts[1] and sum(text.count("\n") for text in texts[0].values()) == 145
    assert read_yolo(tmp_path / "back").class_names == read_yolo(tmp_path / "yolo").class_names
