"""One region followed through small detectors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from detkit.backbones.tiny import TinyNet
from detkit.box_heads.ridge import Ridge
from detkit.classifiers.linear_svm import LinearSVM
from detkit.detection.calibration import Calibration
from detkit.detection.detector import Detector
from detkit.detection.explain import explain
from detkit.detection.postprocess import Postprocess
from detkit.detection.scorer import RegionScorer
from detkit.errors import ConfigError, DataError
from detkit.proposals.sliding_window import SlidingWindow
from detkit.regions.network import RegionNetwork
from detkit.regions.shared_map import SharedMap
from detkit.regions.warped_crops import WarpedCrops
from detkit.structures import Boxes, Proposals
from detkit.system.compute import Compute


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)


def detector_of(extractor=None, calibration=None):
    """A network of random numbers, two classes, and a box head that moves cats by a tenth of their width."""
    torch.manual_seed(0)
    svm = LinearSVM(num_classes=2, feature_dim=8)
    svm.load({"weight": torch.randn(2, 8), "bias": torch.ones(2), "scale": torch.tensor(0.5)})
    head = Ridge(num_classes=2, feature_dim=8)
    head.bias_[0, 0] = 0.1
    compute = Compute.resolve(dtype="float32", device="cpu")
    extractor = extractor or WarpedCrops(input_size=32, padding=4)
    return Detector(
        class_names=("cat", "dog"),
        generator=SlidingWindow(scales=(0.5,), ratios=(1.0,)),
        network=RegionNetwork(TinyNet(input_size=32, width=4, fc_dim=8), extractor, compute=compute, batch=16),
        scorer=RegionScorer(svm, "fc7", head, "fc7"),
        settings=Postprocess(),
        calibration=calibration,
    )


def test_what_is_told_is_what_the_detector_does(image):
    detector = detector_of()
    found = detector.detect(image, -100.0)
    best = explain(detector, image, class_name="cat", min_score=-100.0)
    first = int((found.labels == 0).nonzero()[0, 0])
    assert best.row == int(found.proposal_rows[first])
    assert best.focus.score == pytest.approx(float(found.scores[first]))
    assert best.moved.clipped == pytest.approx(found.boxes.tensor[first].numpy())
    assert best.focus.fate.kind == "detected" and best.focus.fate.place == 1
    assert best.shares.total == pytest.approx(best.focus.score, abs=1e-5)
    # the box head of cats adds a tenth of a width to x and nothing else
    assert best.moved.deltas == pytest.approx([0.1, 0, 0, 0], abs=1e-6)
    kept = set(zip(found.proposal_rows.tolist(), found.labels.tolist(), strict=True))
    for row in range(len(best.steps.proposals)):
        for one in explain(detector, image, region=row, min_score=-100.0).classes:
            assert (one.fate.kind == "detected") == ((row, one.label) in kept)


def test_the_focus_is_the_class_that_was_asked_for_or_the_most_probable(image):
    # both curves are 1 / (1 + exp(-x)) but for dogs' offset of 50
    steep = Calibration(torch.tensor([0.0, 9.0]), -torch.ones(2), torch.tensor([0.0, -50.0]), "margin", "folds")
    detector = detector_of(calibration=steep)
    found = explain(detector, image, region=0)
    assert [one.name for one in found.classes] == ["dog", "cat"] and found.focus.name == "dog"
    assert found.focus.threshold == 9 and found.focus.probability == pytest.approx(1)
    assert explain(detector, image, class_name="cat").focus.name == "cat"


def test_units_are_of_the_pooled_layer_and_others_do_not_overlap_the_region(image):
    detector = detector_of()
    found = explain(detector, image, region=0)
    features = detector.network.of_image(image, found.steps.proposals.boxes, ["pool5"])["pool5"]
    assert found.layer == "pool5" and 0 < len(found.units) <= 4  # as many as channels
    strongest = found.units[0]
    assert strongest.activation == pytest.approx(float(features[0].max()))
    assert strongest.relative == pytest.approx(
        strongest.activation / float(features[:, strongest.unit.of_channel].max())
    )
    for one in found.units:
        for row, _ in one.others:
            assert float(found.box.iou(found.steps.proposals.boxes[[row]])) <= 0.1


def test_a_box_is_followed_as_if_it_had_been_proposed(image):
    detector = detector_of()
    known = explain(detector, image, region=3)
    same = explain(detector, image, box=known.box.tensor[0].tolist())
    assert (same.row, same.is_proposed, len(same.steps.proposals)) == (3, True, len(known.steps.proposals))
    own = explain(detector, image, box=[-5, 7, 30, 44])
    assert (own.row, own.is_proposed) == (len(known.steps.proposals), False)
    assert own.box.tensor.tolist() == [[0, 7, 30, 44]]  # cut off at the image
    expected = own.box.iou(own.steps.proposals.boxes)[0, :-1].max()
    assert own.neighbours[0].iou == pytest.approx(float(expected)) and own.neighbours[0].region != own.row


def test_regions_pooled_from_a_shared_map_are_followed_too(image):
    found = explain(detector_of(SharedMap(input_size=32, padding=4)), image, region=0)
    assert found.shares.total == pytest.approx(found.focus.score, abs=1e-5)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({}, "explain: expected a region, a box or a class, got none of them"),
        ({"class_name": ""}, "explain: expected a region, a box or a class, got none of them"),
        ({"region": 99}, "region 99: the image has the regions 0 to "),
        ({"region": -1}, "region -1: the image has the regions 0 to "),
        ({"class_name": "cats"}, "--class: the model has no class 'cats'. Did you mean cat? It has cat, dog."),
        ({"box": [90, 0, 99, 9]}, "box 90,0,99,9: no area in the image of 80x60 pixels; expected x1,y1,x2,y2"),
        ({"box": [9, 0, 3, 9]}, "box 9,0,3,9: no area in the image"),
    ],
)
def test_what_there_is_not_is_refused_by_name(image, asked, message):
    with pytest.raises(ConfigError) as error:
        explain(detector_of(), image, **asked)
    assert str(error.value).startswith(message)


def test_an_image_without_proposals_has_boxes_alone(image):
    detector = detector_of()
    detector.generator.propose = lambda pixels, image_id: Proposals.unranked(Boxes.of([]), (60, 80))
    with pytest.raises(DataError, match="the image has no proposals; give a --box"):
        explain(detector, image, class_name="cat")
    assert explain(detector, image, box=[0, 0, 9, 9]).neighbours == ()
