"""What the core says of components whose answers break the promises of their kinds."""

import re

import numpy as np
import pytest
import torch

from detkit.backbones.tiny import TinyNet
from detkit.box_heads.base import checked_moves
from detkit.box_heads.identity import Identity
from detkit.classifiers.base import Classifier, checked_scores
from detkit.classifiers.linear_svm import LinearSVM
from detkit.detection.postprocess import Postprocess
from detkit.detection.scorer import RegionScorer
from detkit.errors import ComponentError
from detkit.evaluation.base import checked_metrics
from detkit.evaluation.voc import VOC
from detkit.proposals.base import checked_proposals
from detkit.proposals.pool import propose_many
from detkit.proposals.sliding_window import SlidingWindow
from detkit.regions.base import checked_rows
from detkit.regions.fixed_fraction import FixedFraction
from detkit.regions.network import RegionNetwork
from detkit.regions.warped_crops import WarpedCrops
from detkit.structures import Boxes, Proposals
from detkit.structures.state import learnt_report, learnt_state
from detkit.system.compute import Compute
from detkit.visualize import write_image

IMAGE = np.zeros((30, 40, 3), np.uint8)
JSON = "expected finite numbers, texts, None, lists and dicts"
NUMBERS = "expected Own.AP as numbers or None by class, and mAP likewise"
BOX = Boxes.of([[0, 0, 10, 10]])


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([[0, 0, 9, 9]], "expected Proposals, got list"),
        (
            Proposals.unranked(BOX, (40, 30)),
            "expected the size (30, 40) (height, width), got (40, 30)",
        ),
        (
            Proposals.unranked(Boxes.of([[0, 0, 40, 30], [30, 0, 41, 9]]), (30, 40)),
            "expected boxes inside the image of 40 x 30 pixels, got box 1 [30.0, 0.0, 41.0, 9.0] (x1, y1, x2, y2)",
        ),
    ],
)
def test_proposals(found, message):
    with pytest.raises(ComponentError) as error:
        checked_proposals(SlidingWindow(), found, IMAGE, "07")
    assert str(error.value) == f"SlidingWindow.propose, image 07: {message}"


def test_proposals_are_looked_at_where_a_split_is_searched(tmp_path):
    class Lists(SlidingWindow):
        def propose(self, image, image_id=""):
            return [[0, 0, 9, 9]]

    write_image(tmp_path / "a.png", IMAGE)
    with pytest.raises(ComponentError, match=r"Lists\.propose, image 07: expected Proposals, got list"):
        list(propose_many(Lists(), [("07", tmp_path / "a.png")], workers=0))


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.zeros((2, 1)), "expected a float32 tensor (2, number of classes), got ndarray"),
        (torch.zeros(2, 1).double(), "expected a float32 tensor (2, number of classes), got torch.float64 (2, 1)"),
        (torch.zeros(3, 1), "expected a float32 tensor (2, number of classes), got torch.float32 (3, 1)"),
        (torch.zeros(2), "expected a float32 tensor (2, number of classes), got torch.float32 (2,)"),
        (torch.tensor([[0.0], [torch.nan]]), "expected numbers or -inf, got NaN for region 1 and class 0"),
    ],
)
def test_scores(scores, message):
    class Own(Classifier):
        fit = state = load = lambda self: None

        def score(self, features):
            return scores

    with pytest.raises(ComponentError, match=re.escape(f"Own.score: {message}")):
        checked_scores(Own(), scores, 2)
    scorer = RegionScorer(Own(), "fc", Identity(num_classes=1, feature_dim=1), "fc")
    with pytest.raises(ComponentError, match=r"Own\.score"):
        scorer.candidates(Boxes.of([[0, 0, 9, 9]] * 2), {"fc": torch.zeros(2, 1)}, Postprocess())


def test_moved_boxes(monkeypatch):
    head = Identity(num_classes=1, feature_dim=1)
    for moved, got in ((BOX.tensor, "Tensor"), (BOX, "1 of them")):
        with pytest.raises(ComponentError, match=rf"Identity\.refine: expected Boxes, one for each of 2, got {got}"):
            checked_moves(head, moved, 2)
    assert checked_moves(head, BOX, 1) is BOX
    monkeypatch.setattr(Identity, "refine", lambda self, features, boxes, labels: boxes.tensor)
    classifier = LinearSVM(num_classes=1, feature_dim=1)
    monkeypatch.setattr(classifier, "score", lambda features: torch.ones(1, 1))
    with pytest.raises(ComponentError, match=r"Identity\.refine"):
        RegionScorer(classifier, "fc", head, "fc").candidates(BOX, {"fc": torch.zeros(1, 1)}, Postprocess())


def test_drawn_rows(make_index):
    # Row 0 is the truth, row 1 overlaps it by a third and is ignored where 0.5 and 0.1 are the limits.
    index = make_index([([[0, 0, 10, 10]], [0], [[0, 0, 10, 10], [50, 50, 60, 60]])], 1)
    index.label[1] = -1
    sampler = FixedFraction()
    for rows, message in (
        ([0], "expected an int64 array (number of regions,), got list"),
        (np.array([0.0]), "expected an int64 array (number of regions,), got float64 (1,)"),
        (np.array([0, 3]), "expected rows 0 to 2, got 0 to 3"),
        (np.array([0, 1]), "expected rows with a fine-tuning label, got row 1, which is ignored"),
    ):
        with pytest.raises(ComponentError, match=re.escape(f"FixedFraction.draw: {message}")):
            checked_rows(sampler, rows, index)
    assert checked_rows(sampler, np.array([2, 0]), index).tolist() == [2, 0]


@pytest.mark.parametrize(
    ("found", "got"),
    [({}, "no such layer"), ({"fc7": torch.zeros(2, 5)}, r"\(2, 5\)"), ({"fc7": torch.zeros(4)}, r"\(4,\)")],
)
def test_features(monkeypatch, found, got):
    network = RegionNetwork(
        TinyNet(width=2, fc_dim=4, input_size=32),
        WarpedCrops(input_size=32, padding=0),
        compute=Compute.resolve(dtype="float32", device="cpu"),
        batch=2,
    )
    monkeypatch.setattr(WarpedCrops, "forward", lambda *given, **words: found)
    with pytest.raises(
        ComponentError, match=rf"WarpedCrops.forward with TinyNet: expected fc7 as \(regions, 4\), got {got}"
    ):
        network.of_image(IMAGE, BOX, ["fc7"])


def test_what_was_learnt(monkeypatch):
    head = Identity(num_classes=1, feature_dim=1)
    assert learnt_state(head) == {}
    for state, got in (([], "a dict of tensors by name, got list"), ({"w": 1.0}, "tensors by name, got float for 'w'")):
        monkeypatch.setattr(head, "state", lambda state=state: state)
        with pytest.raises(ComponentError, match=rf"Identity\.state: expected {got}"):
            learnt_state(head)
    monkeypatch.setattr(head, "report", lambda: {"count": np.int64(1)})
    with pytest.raises(ComponentError, match=r"Identity\.report: expected JSON values, got: .*int64"):
        learnt_report(head)


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        (None, "expected a dict by metric, {'VOC': {'AP50': 0.7}}, got None"),
        ({"AP": 0.5}, "expected a dict by metric, {'VOC': {'AP50': 0.7}}, got {'AP': 0.5}"),
        (
            {"Own": {"AR": np.float32(1)}},
            f"{JSON}, got: Object of type float32",
        ),
        (
            {"Own": {"AR": float("nan")}},
            f"{JSON}, got: Out of range float",
        ),
        (
            {"Own": {"AP": {"cat": "high"}}},
            f"{NUMBERS}, got 'high' for 'cat'",
        ),
        ({"Own": {"AP": {3: 0.5}}}, f"{NUMBERS}, got 0.5 for 3"),
        (
            {"Own": {"AP": {}, "mAP": []}},
            f"{NUMBERS}, got [] for 'mAP'",
        ),
    ],
)
def test_metrics(metrics, message):
    with pytest.raises(ComponentError, match=re.escape(f"VOC.compute: {message}")):
        checked_metrics(VOC(class_names=("cat",)), metrics)
