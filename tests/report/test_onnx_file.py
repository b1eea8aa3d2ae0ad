from __future__ import annotations

import importlib.util
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from detkit.backbones.preprocessing import Preprocessing
from detkit.backbones.tiny import TinyNet
from detkit.box_heads.mlp import MLP
from detkit.box_heads.ridge import Ridge
from detkit.classifiers.linear_svm import LinearSVM
from detkit.classifiers.softmax import Softmax
from detkit.cli.main import main
from detkit.detection.calibration import Calibration
from detkit.detection.detector import Detector
from detkit.detection.postprocess import Postprocess
from detkit.detection.region_graph import RegionGraph
from detkit.detection.scorer import RegionScorer
from detkit.errors import ConfigError, ModelError
from detkit.proposals.sliding_window import SlidingWindow
from detkit.regions.network import RegionNetwork
from detkit.regions.shared_map import SharedMap
from detkit.regions.warped_crops import WarpedCrops
from detkit.report import onnx_file
from detkit.structures import Boxes, Proposals
from detkit.system.compute import Compute

SIDE, K = 24, 3


def detector_of(classifier, box_head, extractor=None, **settings):
    """A detector of random numbers: its classes score as in SVMs, and its head moves boxes a little."""
    torch.manual_seed(0)
    backbone = TinyNet(input_size=SIDE, width=4, fc_dim=8)
    backbone.preprocessing = Preprocessing.of("BGR", 1 / 255, (0.3, 0.5, 0.6), (0.25, 0.5, 0.3))
    extractor = extractor or WarpedCrops(input_size=SIDE, padding=3, mode="square", feature_pixels="float32")
    network = RegionNetwork(backbone, extractor, compute=Compute.resolve(dtype="float32", device="cpu"), batch=16)
    for part in (classifier, box_head):
        part.load({name: torch.randn(v.shape) / 4 if v.ndim else v for name, v in part.state().items()})
    return Detector(
        class_names=("cat", "dog", "cow"),
        generator=SlidingWindow(),
        network=network,
        scorer=RegionScorer(classifier, "fc7", box_head, "fc7"),
        settings=Postprocess(**settings),
        calibration=Calibration(torch.tensor([-1.0, -0.5, 0.0]), *torch.full((2, K), -0.5), "margin", "folds"),
    )


def svm():
    return LinearSVM(num_classes=K, feature_dim=8)


def ridge():
    return Ridge(num_classes=K, feature_dim=8)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A detector and its file: one export takes seconds, so all tests look at this one."""
    detector = detector_of(svm(), ridge(), top_per_image=20, refine_above=-0.2)
    detector.scorer.classifier.bias_[2] = -torch.inf  # a class that was never learnt
    file = tmp_path_factory.mktemp("onnx") / "model.onnx"
    agreement = onnx_file.write_onnx(file, detector)
    return detector, file, agreement


@pytest.fixture(scope="module")
def example():
    """examples/onnx_detect.py as a module."""
    spec = importlib.util.spec_from_file_location("onnx_detect", Path(__file__).parents[2] / "examples/onnx_detect.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_file_gives_the_numbers_of_torch_for_one_region_and_for_many(exported, example):
    detector, file, agreement = exported
    assert max(agreement.scores, agreement.boxes) < 1e-4
    session = example.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    features = torch.randn(5, 3, SIDE, SIDE), torch.rand(5, 4) * 20 + torch.tensor([0, 0, 30, 30])
    for rows in (1, 5):
        crops, boxes = (t[:rows] for t in features)
        scores, refined = session.run(None, {"crops": crops.numpy(), "boxes": boxes.numpy()})
        with torch.inference_mode():
            own = detector.network.backbone(crops, ["fc7"])["fc7"].half().float()
        expected = detector.scorer.classifier.score(own)
        np.testing.assert_allclose(scores, expected, atol=1e-4)
        for k in range(K):  # as the detector itself moves the boxes of each class
            labels = torch.full((rows,), k)
            moved = detector.scorer.refined(Boxes(boxes), own, labels, expected[:, k], detector.settings)
            np.testing.assert_allclose(refined[:, k], moved.tensor, atol=1e-3)


@pytest.mark.parametrize("found", [onnx_file.Agreement(0.0, math.nan), onnx_file.Agreement(math.nan, 0.0)])
def test_numbers_that_are_none_do_not_agree(found, exported, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "agreement", lambda file, detector: found)
    with pytest.raises(ModelError, match="nothing was written"):
        onnx_file.write_onnx(tmp_path / "model.onnx", exported[0])
    assert not list(tmp_path.iterdir())


def test_metadata_say_what_a_program_must_know(exported, example):
    _, file, _ = exported
    session = example.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    meta = {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}
    assert meta["class_names"] == ["cat", "dog", "cow"] and meta["score_kind"] == "margin"
    assert meta["warp"] == {"size": SIDE, "padding": 3, "mode": "square", "context": True, "pixels": "float32"}
    assert meta["preprocessing"]["order"] == "BGR"
    assert meta["preprocessing"]["mean"] == pytest.approx([0.3, 0.5, 0.6])
    assert meta["postprocess"]["nms_iou"] == 0.3 and meta["thresholds"] == [-1, -0.5, 0]
    assert meta["calibration"] == {"a": [-0.5] * 3, "b": [-0.5] * 3}


def test_example_without_torch_detects_what_the_detector_does(exported, example):
    detector, file, _ = exported
    image = np.random.default_rng(1).integers(0, 256, (60, 90, 3), np.uint8)
    corner = np.random.default_rng(2).uniform(0, 40, (70, 2))
    boxes = np.hstack([corner, np.minimum(corner + 3 + corner[:, ::-1], [90, 60])]).astype(np.float32)
    found = detector.detect(image, proposals=Proposals.unranked(Boxes.of(boxes), (60, 90)))
    assert len(found) > 5 and len(found.labels.unique()) == 2
    names = [detector.class_names[k] for k in found.labels]
    session = example.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    answer = example.detect(session, image, boxes)
    assert [one["class"] for one in answer] == names
    np.testing.assert_allclose([one["score"] for one in answer], found.scores, atol=1e-4)
    np.testing.assert_allclose([one["box"] for one in answer], found.boxes.tensor, atol=0.02)


@pytest.mark.parametrize(("mode", "context", "padding"), [("warp", True, 5), ("warp", False, 5), ("square", False, 0)])
def test_crops_of_the_example_are_those_of_the_extractor(example, mode, context, padding):
    image = np.random.default_rng(1).integers(0, 256, (60, 90, 3), np.uint8)
    boxes = np.array([[0, 0, 90, 60], [10.4, 5.5, 30.5, 50], [80, 50, 90, 60], [40, 20, 41, 59]], np.float32)
    extractor = WarpedCrops(input_size=SIDE, padding=padding, mode=mode, context=context)
    made = Preprocessing.of("RGB", 0.5, np.random.default_rng(0).uniform(0, 90, (3, SIDE, SIDE)), (1, 2, 3))
    prepared = extractor.prepare(image, Boxes.of(boxes), np.zeros(4, bool))
    expected = made(torch.from_numpy(prepared["crops"]), torch.from_numpy(prepared["valid"]))
    given = {"order": made.order, "scale": made.scale, "mean": made.mean.tolist(), "std": made.std.tolist()}
    np.testing.assert_allclose(example.crops_of(image, boxes, extractor.warp(), given), expected, atol=1e-4)


def test_probabilities_leave_out_the_background():
    detector = detector_of(Softmax(num_classes=K, feature_dim=8), MLP(num_classes=K, feature_dim=8, hidden_dim=4))
    crops, boxes = torch.randn(2, 3, SIDE, SIDE), torch.tensor([[0.0, 0.0, 9.0, 9.0], [2.0, 2.0, 30.0, 40.0]])
    with torch.inference_mode():
        scores, refined = RegionGraph(detector).eval()(crops, boxes)
        own = detector.network.backbone(crops, ["fc7"])["fc7"].half().float()
    torch.testing.assert_close(scores, detector.scorer.classifier.score(own))
    assert refined.shape == (2, K, 4)


class Told:
    """Stands for a part that does not say what the graph must know."""

    def linear(self):
        return None

    def every_class(self, features, corners):
        return None

    reads_features, feature_dim, score_kind = True, 8, "margin"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: setattr(d.network, "extractor", SharedMap(input_size=SIDE)), "region extractor SharedMap: "),
        (lambda d: object.__setattr__(d.scorer, "classifier", Told()), "classifier Told: "),
        (lambda d: object.__setattr__(d.scorer, "box_head", Told()), "box head Told: "),
        (lambda d: setattr(d, "settings", Postprocess(refine_iterations=3)), "POSTPROCESS.REFINE_ITERATIONS: 3: "),
    ],
)
def test_a_part_that_is_no_graph_is_refused_by_name(change, message):
    detector = detector_of(svm(), ridge())
    change(detector)
    with pytest.raises(ModelError) as caught:
        RegionGraph(detector)
    assert str(caught.value).startswith(message) and "detect with detkit instead" in str(caught.value)


def test_a_missing_package_is_named_before_anything_is_loaded(monkeypatch, capsys):
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None if name == "onnxscript" else sys)
    with pytest.raises(ConfigError, match="onnxscript is not installed; pip install"):
        onnx_file.refuse_without_onnx()
    assert main(["export", "--model", "nowhere"]) == 2
    assert "detkit export: the package onnxscript" in capsys.readouterr().err


def test_command_says_how_far_the_file_is_from_torch(monkeypatch, capsys, tmp_path):
    def write(file, detector):
        file.write_bytes(bytes(1_500_000))
        return onnx_file.Agreement(2e-6, 1e-7)

    monkeypatch.setattr(onnx_file, "write_onnx", write)
    monkeypatch.setattr("detkit.detection.load.load", lambda model, device, dtype: (model, device, dtype))
    assert main(["export", "--model", str(tmp_path / "model")]) == 0
    told, where = capsys.readouterr().out.splitlines()
    assert told == "onnxruntime and torch agree: scores within 2e-06, boxes within 1e-07 of a side"
    assert where.startswith(f"model: {tmp_path}/model.onnx (1.5 MB); ")
