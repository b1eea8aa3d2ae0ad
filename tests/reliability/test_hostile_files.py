"""Arbitrary and mutated files: each reader gives a result or an error of detkit, nothing else."""

import io
import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save
from scipy.io import savemat

from detkit.backbones.weight_sources import read_weights
from detkit.config import load_config
from detkit.data.base import Dataset
from detkit.data.coco_json import read_coco_json
from detkit.data.images import decode_image
from detkit.data.repairs import cut_to_image
from detkit.data.voc_files import listed_ids
from detkit.data.voc_xml import read_voc_xml
from detkit.detection.model_file import read_model_file
from detkit.errors import DetkitError
from detkit.evaluation.detection_files import read_detections
from detkit.proposals.precomputed import Precomputed
from detkit.structures import Sample
from tests.conftest import FIGURE
from tests.reference.caffe_writer import blob, caffemodel, old_layer
from tests.reliability.bad_inputs import SIZE, encoded, pil, rotated, thing, xml

IMAGE = np.zeros((*SIZE, 3), np.uint8)
TOKENS = [b"\0", b"\xff", b"-1", b"1e999", b"nan", b"inf", b"9" * 5000, b"[" * 3000, b"{}", b"null", b'""', b"../"]
TOKENS += [b"<a>", b"&x;", b"*a", b"&a ", b"!!", b": ", b"true", b"\xed\xa0\x80", b"\\ud800", b"<!DOCTYPE a [", b"%"]
TOKENS += [b"\n", b",", b"1"]


class OneImage(Dataset):
    """The data set that the detections speak of."""

    class_names, skipped, warnings = ("cat",), [], []

    def __len__(self):
        return 1

    def __getitem__(self, i):
        if i:
            raise IndexError
        return Sample("a", Path("a.png"), SIZE)

    def fingerprint(self, *, truths=True):
        return ""


def voc_xml(file):
    things = read_voc_xml(file).objects
    cut_to_image([t.box for t in things], [t.where for t in things], SIZE)


def coco_json(file):
    found = read_coco_json(file)
    for image in found.images:
        truths = found.truths(image) or []
        cut_to_image([t.box for t in truths], [t.where for t in truths], SIZE)


def arrays(write, **values):
    data = io.BytesIO()
    write(data, values)
    return data.getvalue()


def saved(value):
    data = io.BytesIO()
    torch.save(value, data)
    return data.getvalue()


OBJECTS = np.array([[np.eye(2)], ["x"]], object)
INSTANCES = {
    "images": [{"id": 1, "file_name": "a.png", "height": 40, "width": 60}],
    "categories": [{"id": 1, "name": "cat"}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 9, 9], "iscrowd": 0}],
}
RESULTS = [{"image_id": "a", "category_id": 1, "bbox": [1, 2, 9, 9], "score": 0.5}]
MODEL = {
    "class_names": ["cat"],
    "backbone": {"NAME": "TinyNet", "TinyNet": {"WIDTH": 8}},
    "compute": {"dtype": "float32"},
}
WEIGHT = np.ones((2, 3), np.float32)
BOX = np.array([[0, 0, 5, 5]])
READERS = {
    "voc annotation": ("a.xml", [xml(thing((1, 1, 9, 9.5)), thing((2, 2, 3, 3)))], voc_xml),
    "voc list": ("a.txt", ["a\nb 1\n"], lambda f: listed_ids(f.parent, "a")),
    "coco instances": ("a.json", [json.dumps(INSTANCES)], coco_json),
    "voc detections": ("comp4_det_t_cat.txt", ["a 0.5 1 2 9 9\n"], lambda f: read_detections(f.parent, OneImage())),
    "coco detections": ("a.json", [json.dumps(RESULTS)], lambda f: read_detections(f, OneImage())),
    "npz proposals": (
        "a.npz",
        [arrays(lambda d, v: np.savez(d, **v), boxes=BOX), arrays(lambda d, v: np.savez_compressed(d, **v), boxes=BOX)],
        lambda f: Precomputed(path=str(f.parent)).propose(IMAGE, "a"),
    ),
    "mat proposals": (
        "a.mat",
        [arrays(savemat, boxes=BOX), arrays(lambda d, v: savemat(d, v, do_compression=True), boxes=OBJECTS)],
        lambda f: Precomputed(path=str(f.parent)).propose(IMAGE, "a"),
    ),
    "config": ("a.yaml", ["SEED: 1\nDATA: {NAME: VOC, TEST: [a, b]}\nFINETUNE:\n  LR: 1e-3\n"], load_config),
    "model file": ("model.yaml", [yaml.safe_dump(MODEL)], lambda f: read_model_file(f.parent)),
    "safetensors": ("a.safetensors", [save({"a": torch.ones(3)}, {"std": "1,1,1", "mean": "1,2,3"})], read_weights),
    "caffemodel": (
        "a.caffemodel",
        [b"".join(caffemodel([("fc", WEIGHT, WEIGHT[0])], "x")), old_layer("fc", 14, [blob(WEIGHT, form="legacy")])],
        read_weights,
    ),
    "pth": ("a.pth", [saved({"a": torch.ones(3)})], read_weights),
    "image": (
        "a.jpg",
        [encoded(".jpg"), encoded(".png"), pil("P", "GIF"), pil("RGB", "WEBP"), pil("RGB", "BMP"), rotated(6)],
        lambda f: decode_image(f.read_bytes(), f),
    ),
}


@st.composite
def mutations(draw, seeds):
    """Bytes of nothing, or those of a sound file with a few cuts, repetitions, changes and tokens."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=300))
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, 4))):
        at, length = draw(st.integers(0, len(data))), draw(st.integers(0, 12))
        new = draw(st.one_of(st.sampled_from(TOKENS), st.binary(max_size=8), st.just(data[at : at + 40] * 2)))
        data = data[:at] + new + data[at + length :]
    return data


def fuzz(folder, row, examples, *, repeatable):
    name, seeds, read = READERS[row]
    seeds = [seed if isinstance(seed, bytes) else seed.encode() for seed in seeds]
    file, tried = folder / name, []

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=repeatable,
        suppress_health_check=list(HealthCheck),
    )
    @given(mutations(seeds))
    def holds(data):
        tried.append(None)
        file.write_bytes(data)
        try:
            read(str(file) if read is read_weights else file)
        except DetkitError as error:
            assert "\n" not in str(error)
        assert [path.name for path in folder.iterdir()] == [name]

    holds()
    return len(tried)


@pytest.mark.parametrize("row", READERS)
def test_any_file_gives_a_result_or_an_error_of_detkit(tmp_path, monkeypatch, row):
    monkeypatch.setenv("DETKIT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "in").mkdir()
    fuzz(tmp_path / "in", row, 50, repeatable=True)


@pytest.mark.soak
@pytest.mark.parametrize("row", READERS)
def test_any_file_for_ten_minutes(tmp_path, row, record_property):
    (tmp_path / "in").mkdir()
    end = time.monotonic() + float(os.environ.get("DETKIT_SOAK_SECONDS", "600"))
    while time.monotonic() < end:
        record_property(FIGURE, [f"files tried: {row}", fuzz(tmp_path / "in", row, 500, repeatable=False)])
