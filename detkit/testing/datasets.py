"""What every data set keeps."""

from __future__ import annotations

import inspect
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from detkit.config.schema import given_of
from detkit.data.base import Dataset, WithoutTruths
from detkit.data.images import sample_image
from detkit.errors import DetkitError
from detkit.testing.expect import expect, expect_raises


def _write(folder: Path) -> dict[str, Any]:
    """The same two images in every layout; values for the keys that name files, and few images to be drawn."""
    records: dict[str, list[Any]] = {"images": [], "categories": [{"id": 1, "name": "cat"}], "annotations": []}
    for name in ("JPEGImages", "Annotations", "ImageSets/Main", "train/cat"):
        (folder / name).mkdir(parents=True)
    (folder / "ImageSets" / "Main" / "train.txt").write_text("b\na\n")
    for number, name in enumerate("ba"):
        data = cv2.imencode(".png", np.full((40, 60 + number, 3), 90 * number, np.uint8))[1].tobytes()
        for place in ("JPEGImages", "train/cat"):
            (folder / place / f"{name}.png").write_bytes(data)
        box = "<bndbox><xmin>2</xmin><ymin>3</ymin><xmax>30</xmax><ymax>40</ymax></bndbox>"
        xml = f"<annotation><object><name>cat</name>{box}</object></annotation>"
        (folder / "Annotations" / f"{name}.xml").write_text(xml)
        records["images"].append({"id": number, "file_name": f"{name}.png"})
        records["annotations"].append({"id": number, "image_id": number, "category_id": 1, "bbox": [1, 2, 29, 38]})
        (folder / "JPEGImages" / f"{name}.txt").write_text("0 0.25 0.525 0.475 0.95\n")
    (folder / "list.txt").write_text("JPEGImages/b.png\nJPEGImages/a.png\n")
    (folder / "data.yaml").write_text("train: list.txt\nval: list.txt\nnames: [cat]\n")
    (folder / "train.json").write_text(json.dumps(records))
    images = str(folder / "JPEGImages")
    return {"root": str(folder), "annotations": str(folder / "{split}.json"), "images": images, "train_images": 3}


@contextmanager
def _opener(make: Any) -> Iterator[Callable[..., Dataset]]:
    """Opens the split "train"; keys that name files lead to two images, the others keep their defaults."""
    with tempfile.TemporaryDirectory() as name:
        parameters = inspect.signature(make.component).parameters
        own = {k: v for k, v in _write(Path(name)).items() if k in parameters and k not in make.settings}
        given = {"on_bad": "stop", "needs_images": True}
        given = {k: v for k, v in given.items() if k in given_of(make.component)}

        def opened(split: str = "train", **changed: Any) -> Dataset:
            made: Dataset = make(splits=(split,), **given, **{**own, **changed})
            return made

        yield opened


def the_builder_gives_splits_and_on_bad(make: Any) -> None:
    """And ``needs_images`` where it is asked for."""
    given = given_of(make.component)
    legal = given in ({"splits", "on_bad"}, {"splits", "on_bad", "needs_images"})
    expect(legal, f"the builder gives splits, on_bad and perhaps needs_images, but its constructor asks for {given}")


def items_are_as_many_as_the_length_says(make: Any) -> None:
    """IndexError behind the last."""
    with _opener(make) as opened:
        dataset = opened()
        expect(len(dataset) > 0, "the split has no image")
        expect(len(list(dataset)) == len(dataset), "iterating gives another number of images than len")
        expect_raises(IndexError, lambda: dataset[len(dataset)], "the image behind the last")


def ids_are_unique_texts(make: Any) -> None:
    """None is empty."""
    with _opener(make) as opened:
        ids = [sample.image_id for sample in opened()]
        expect(len(set(ids)) == len(ids), f"image ids repeat: {ids}")
        expect(all(isinstance(i, str) and i for i in ids), f"an image id is empty or no text: {ids}")


def sizes_are_those_of_the_decoded_images(make: Any) -> None:
    """(height, width)."""
    with _opener(make) as opened:
        for sample in opened():
            shape = sample_image(sample).shape[:2]
            expect(shape == sample.size, f"image {sample.image_id}: size {sample.size}, its pixels are {shape}")


def boxes_lie_in_the_image_with_an_area(make: Any) -> None:
    """x2 and y2 exclusive."""
    with _opener(make) as opened:
        for sample in opened():
            assert sample.annotations is not None
            boxes = sample.annotations.boxes
            expect(
                torch.equal(boxes.clip(sample.size).tensor, boxes.tensor),
                f"image {sample.image_id}: a box lies beyond it",
            )
            expect((boxes.area() > 0).all(), f"image {sample.image_id}: a box has no area")


def labels_are_positions_in_the_class_names(make: Any) -> None:
    """Each name once."""
    with _opener(make) as opened:
        dataset = opened()
        names = dataset.class_names
        expect(isinstance(names, tuple) and len(set(names)) == len(names), f"class_names: {names!r}")
        labels = torch.cat([s.annotations.labels for s in dataset if s.annotations is not None])
        expect(labels.min() >= 0 and labels.max() < len(names), f"labels {labels.tolist()} of {len(names)} classes")


def a_good_data_set_has_nothing_to_report(make: Any) -> None:
    """Nothing skipped, no warning."""
    with _opener(make) as opened:
        dataset = opened()
        expect(not dataset.skipped and not dataset.warnings, f"reported: {[*dataset.skipped, *dataset.warnings]}")


def opened_again_it_is_the_same(make: Any) -> None:
    """By ids and fingerprints; that of the images alone is another."""
    with _opener(make) as opened:
        dataset, again = opened(), opened()
        print_, bare = dataset.fingerprint(), dataset.fingerprint(truths=False)
        expect(re.fullmatch("[0-9a-f]{64}", print_), f"fingerprint: expected a sha256 in hexadecimal, got {print_}")
        same = (again.fingerprint(), again.fingerprint(truths=False)) == (print_, bare)
        expect(same, "opened again it has another fingerprint")
        expect(print_ != bare, "the fingerprint does not tell annotations")
        ids = [s.image_id for s in dataset]
        expect([s.image_id for s in again] == ids, "opened again it has other images")
        without = WithoutTruths(dataset)
        hidden = [s.image_id for s in without] == ids and all(s.annotations is None for s in without)
        expect(hidden, "its annotations cannot be hidden")


def unknown_splits_and_paths_are_refused_in_one_line(make: Any) -> None:
    """A path that leads nowhere is named."""
    with _opener(make) as opened:
        error = expect_raises(DetkitError, lambda: opened("no such split"), "an unknown split")
        expect("\n" not in str(error), "the message has several lines")
        for key in {"root", "annotations", "images"} & set(inspect.signature(make.component).parameters):
            gone = {key: str(Path("nowhere") / "{split}")}
            error = expect_raises(DetkitError, lambda gone=gone: opened(**gone), f"{key} that leads nowhere")  # type: ignore[misc]
            expect("nowhere" in str(error) and "\n" not in str(error), f"{key}: the message does not name it: {error}")


CHECKS = (
    the_builder_gives_splits_and_on_bad,
    items_are_as_many_as_the_length_says,
    ids_are_unique_texts,
    sizes_are_those_of_the_decoded_images,
    boxes_lie_in_the_image_with_an_area,
    labels_are_positions_in_the_class_names,
    a_good_data_set_has_nothing_to_report,
    opened_again_it_is_the_same,
    unknown_splits_and_paths_are_refused_in_one_line,
)
