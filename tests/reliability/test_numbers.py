"""Numbers that are none, and data that hold next to nothing to learn from."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from detkit.box_heads.mlp import MLP
from detkit.box_heads.ridge import Ridge
from detkit.box_heads.sgd_linear import SGDLinear
from detkit.classifiers.linear_svm import LinearSVM
from detkit.errors import DetkitError
from detkit.regions.network import check_finite

TRUTH, NEAR, FAR = [0, 0, 20, 20], [0, 0, 20, 15], [60, 60, 90, 90]


def test_infinite_features_name_image_region_and_layer():
    features = torch.zeros(3, 4)
    check_finite({"fc7": features}, "000012")
    features[2, 1] = float("inf")
    with pytest.raises(DetkitError, match=r"^features: image 000012, region 2: fc7 holds inf; .* 65504"):
        check_finite({"pool5": torch.zeros(3, 2), "fc7": features}, "000012")


def test_features_of_broken_weights_stop_the_run_at_the_first_image(whole, job):
    whole.without(job, "extract", "classify", "regress", "detect", "evaluate")
    ended = job.run("FINETUNE.ITERATIONS=1", "FINETUNE.LR=1e30")  # the loss before this one step is a number
    assert ended.code == 2 and "Traceback" not in ended.said
    line = ended.said.splitlines()[-1]
    assert line.startswith("detkit train: features: image train_000000, region 0: fc7 holds ")


def test_weights_that_are_no_numbers_after_a_step_are_not_kept(whole, job):
    whole.without(job, "extract", "classify", "regress", "detect", "evaluate")
    ended = job.run("FINETUNE.ITERATIONS=1", "FINETUNE.LR=1e30", "FINETUNE.WEIGHT_DECAY=1e10")
    assert ended.code == 2 and "Traceback" not in ended.said
    line = ended.said.splitlines()[-1]
    assert line.startswith("detkit train: finetune: iteration 0 left weights that are no numbers (images train_0000")
    assert line.endswith("lower FINETUNE.LR (now 1e+30)")


@pytest.mark.soak
def test_a_diverging_loss_names_iteration_and_images(whole, job):
    whole.without(job, "extract", "classify", "regress", "detect", "evaluate")
    ended = job.run("FINETUNE.LR=1e15")
    assert ended.code == 2 and "Traceback" not in ended.said
    assert "detkit train: finetune: the loss at iteration " in (line := ended.said.splitlines()[-1])
    assert "(images train_0000" in line


@pytest.mark.parametrize("constant", [0.0, 1.0])
def test_identical_features_train_to_finite_numbers(make_index, array_source, constant):
    index = make_index([([TRUTH], [i % 2], [NEAR, FAR]) for i in range(4)], 2)
    source = array_source(index, np.full((len(index), 3), constant, np.float32))
    for part in (LinearSVM, Ridge, SGDLinear, MLP):
        learnt = part(num_classes=2, feature_dim=3).fit(source, np.random.default_rng(0))
        assert all(bool(tensor.isfinite().all()) for tensor in learnt.state().values()), part
        json.dumps(learnt.report(), allow_nan=False)


def test_a_class_with_one_positive_trains(make_index, array_source):
    index = make_index([([TRUTH], [0], [NEAR, FAR]), ([], [], [FAR])], 1)
    source = array_source(index, np.random.default_rng(0).random((len(index), 3), dtype=np.float32))
    for part in (LinearSVM, Ridge, SGDLinear, MLP):
        learnt = part(num_classes=1, feature_dim=3).fit(source, np.random.default_rng(0))
        assert all(bool(tensor.isfinite().all()) for tensor in learnt.state().values()), part


ANNOTATION = """<annotation><size><width>64</width><height>48</height><depth>3</depth></size><object><name>thing</name>
<bndbox><xmin>11</xmin><ymin>11</ymin><xmax>40</xmax><ymax>40</ymax></bndbox></object></annotation>"""


@pytest.mark.soak
@pytest.mark.parametrize("proposals", ["SlidingWindow", "SelectiveSearch"])
def test_images_that_are_all_equal_train_or_are_refused_in_one_line(whole, job, proposals):
    whole.without(job)
    write_equal_images(job.folder / "voc")
    words = ["DATA.NAME=VOC", "DATA.VOC.ROOT=voc", f"PROPOSALS.NAME={proposals}", "FINETUNE.ITERATIONS=1"]
    ended = job.run(*words)
    assert ended.code in (0, 2), ended.said
    assert "Traceback" not in ended.said
    if ended.code == 0:
        metrics = json.loads((job.folder / "run" / "results.json").read_text())["metrics"]
        assert 0 <= metrics["VOC07"]["mAP"] <= 1


def write_equal_images(root: Path) -> None:
    """Four grey images in VOC's layout, each with one box in the same place."""
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (root / name).mkdir(parents=True)
    for i in range(4):
        cv2.imwrite(str(root / "JPEGImages" / f"{i}.jpg"), np.full((48, 64, 3), 128, np.uint8))
        (root / "Annotations" / f"{i}.xml").write_text(ANNOTATION)
    for split in ("train", "test"):
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text("0\n1\n2\n3\n")
