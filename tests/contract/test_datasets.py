"""Every registered data set against the interface."""

import inspect
import json
import re

import cv2
import numpy as np
import pytest
import torch

from detkit.components import load_components
from detkit.config.schema import given_of
from detkit.data.base import Dataset, WithoutTruths
from detkit.data.images import read_image
from detkit.errors import DetkitError
from detkit.registry import DATASETS

load_components()


@pytest.fixture
def keys(tmp_path):
    """Values for keys that name files: one folder with the same two images in every layout; and few to be drawn."""
    records = {"images": [], "categories": [{"id": 1, "name": "cat"}], "annotations": []}
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main", "train/cat"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("b\na\n")
    for number, name in enumerate("ba"):
        data = cv2.imencode(".png", np.full((40, 60 + number, 3), 90 * number, np.uint8))[1].tobytes()
        for folder in ("JPEGImages", "train/cat"):
            (tmp_path / folder / f"{name}.png").write_bytes(data)
        box = "<bndbox><xmin>2</xmin><ymin>3</ymin><xmax>30</xmax><ymax>40</ymax></bndbox>"
        xml = f"<annotation><object><name>cat</name>{box}</object></annotation>"
        (tmp_path / "Annotations" / f"{name}.xml").write_text(xml)
        records["images"].append({"id": number, "file_name": f"{name}.png"})
        records["annotations"].append({"id": number, "image_id": number, "category_id": 1, "bbox": [1, 2, 29, 38]})
    (tmp_path / "train.json").write_text(json.dumps(records))
    images = str(tmp_path / "JPEGImages")
    return {"root": str(tmp_path), "annotations": str(tmp_path / "{split}.json"), "images": images, "train_images": 3}


@pytest.fixture(params=DATASETS.names())
def opened(request, keys):
    """Opens the train split of a data set; its other keys keep their defaults."""
    component = DATASETS.get(request.param)
    known = {k: v for k, v in keys.items() if k in inspect.signature(component).parameters}

    def open_dataset(split="train", **changed):
        given = {"splits": (split,), "on_bad": "stop", "needs_images": True}
        return component(**{k: v for k, v in given.items() if k in given_of(component)}, **{**known, **changed})

    open_dataset.component = component
    open_dataset.keys = known.keys()
    return open_dataset


@pytest.fixture
def dataset(opened):
    return opened()


def test_the_builder_gives_splits_and_on_bad(opened):
    assert issubclass(opened.component, Dataset)
    assert given_of(opened.component) in ({"splits", "on_bad"}, {"splits", "on_bad", "needs_images"})


def test_items_are_as_many_as_the_length_says(dataset):
    assert len(dataset) > 0
    assert len(list(dataset)) == len(dataset)
    with pytest.raises(IndexError):
        dataset[len(dataset)]


def test_ids_are_unique_texts(dataset):
    ids = [sample.image_id for sample in dataset]
    assert len(set(ids)) == len(ids) and all(isinstance(i, str) and i for i in ids)


def test_size_is_that_of_the_decoded_image(dataset):
    for sample in dataset:
        assert read_image(sample.path).shape == (*sample.size, 3)


def test_boxes_lie_in_the_image_with_an_area(dataset):
    for sample in dataset:
        boxes = sample.annotations.boxes
        assert torch.equal(boxes.clip(sample.size).tensor, boxes.tensor)
        assert (boxes.area() > 0).all()


def test_labels_are_positions_in_the_class_names(dataset):
    assert isinstance(dataset.class_names, tuple) and len(set(dataset.class_names)) == len(dataset.class_names)
    labels = torch.cat([sample.annotations.labels for sample in dataset])
    assert labels.min() >= 0 and labels.max() < len(dataset.class_names)


def test_a_good_data_set_has_nothing_to_report(dataset):
    assert dataset.skipped == [] and dataset.warnings == []


def test_opened_again_it_is_the_same(opened, dataset):
    again = opened()
    assert re.fullmatch("[0-9a-f]{64}", dataset.fingerprint())
    assert again.fingerprint() == dataset.fingerprint()
    assert again.fingerprint(truths=False) == dataset.fingerprint(truths=False) != dataset.fingerprint()
    without = WithoutTruths(dataset)
    assert [one.image_id for one in without] == [one.image_id for one in dataset]
    assert all(one.annotations is None for one in without)
    assert [s.image_id for s in again] == [s.image_id for s in dataset]


def test_an_unknown_split_is_refused_in_one_line(opened):
    with pytest.raises(DetkitError) as refused:
        opened("no such split")
    assert "\n" not in str(refused.value)


def test_paths_that_lead_nowhere_are_refused_in_one_line_that_names_them(opened, tmp_path):
    for key in opened.keys & {"root", "annotations", "images"}:
        with pytest.raises(DetkitError, match="nowhere") as refused:
            opened(**{key: str(tmp_path / "nowhere" / "{split}")})
        assert "\n" not in str(refused.value)
