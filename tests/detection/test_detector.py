import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import detkit
from detkit.backbones.tiny import TinyNet
from detkit.backbones.weights import save_weights
from detkit.box_heads.identity import Identity
from detkit.classifiers.linear_svm import LinearSVM
from detkit.detection.calibration import Calibration
from detkit.detection.detector import Detector
from detkit.detection.postprocess import Postprocess
from detkit.detection.scorer import RegionScorer
from detkit.errors import DataError
from detkit.proposals.precomputed import Precomputed
from detkit.structures import Boxes, Proposals
from detkit.visualize import write_image


class ToTheRight(Identity):
    """Moves every box by 5 pixels."""

    def refine(self, features, boxes, labels):
        return Boxes(boxes.tensor + torch.tensor([5.0, 0, 5, 0]))


@pytest.fixture
def scorer():
    """One class whose margin is the feature."""
    svm = LinearSVM(num_classes=1, feature_dim=1)
    svm.load({"weight": torch.ones(1, 1), "bias": torch.zeros(1), "scale": torch.ones(())})
    return RegionScorer(svm, "fc7", ToTheRight(num_classes=1, feature_dim=1), "pool5")


@pytest.mark.parametrize(("above", "lefts"), [(None, [5, 5, 5]), (0.0, [5, 0, 0])])
def test_candidates_are_moved_whatever_their_score_unless_only_those_above_a_score_shall(scorer, above, lefts):
    features = {"fc7": torch.tensor([[-1.0], [2.0], [0.0]])}
    found = scorer.candidates(Boxes.of([[0, 0, 9, 9]] * 3), features, Postprocess(refine_above=above))
    assert found.scores.tolist() == [2, 0, -1]
    assert found.refined.tensor[:, 0].tolist() == lefts
    assert found.boxes.tensor[:, 0].tolist() == [0, 0, 0]


class Given:
    """Proposals and features that are given instead of found: a generator and a network in one."""

    def __init__(self, boxes, margins):
        self.boxes, self.margins = boxes, margins

    def propose(self, image, image_id=""):
        return Proposals.unranked(Boxes.of(self.boxes), image.shape[:2])

    def of_image(self, image, boxes, layers, *clock):
        return {"fc7": torch.tensor(self.margins)[:, None]}


def detected(scorer, boxes, margins, **settings):
    given = Given(boxes, margins)
    detector = Detector(
        class_names=("cat",), generator=given, network=given, scorer=scorer, settings=Postprocess(**settings)
    )
    return detector.detect(np.zeros((50, 100, 3), np.uint8), min_score=-10).boxes.tensor.tolist()


def test_the_cap_comes_before_suppression(scorer):
    # Of three candidates two are kept, the second is a copy of the first: the third does not move up.
    boxes = [[0, 0, 10, 10], [0, 0, 10, 10], [50, 0, 60, 10]]
    assert detected(scorer, boxes, [3.0, 2.0, 1.0], top_per_image=2) == [[5, 0, 15, 10]]
    assert len(detected(scorer, boxes, [3.0, 2.0, 1.0])) == 2


def two_classes(calibration=None, **settings):
    """A detector of two classes whose margins are the two features of each region, side by side in the image."""
    svm = LinearSVM(num_classes=2, feature_dim=2)
    svm.load({"weight": torch.eye(2), "bias": torch.zeros(2), "scale": torch.ones(())})
    scorer = RegionScorer(svm, "fc7", Identity(num_classes=2, feature_dim=1), "pool5")
    given = Given([[0, 0, 10, 10], [20, 0, 30, 10]], [])
    given.of_image = lambda *_: {"fc7": torch.tensor([[-0.4, 0.4], [0.9, 0.6]])}
    return Detector(
        class_names=("cat", "dog"),
        generator=given,
        network=given,
        scorer=scorer,
        settings=Postprocess(**settings),
        calibration=calibration,
    )


def found_by(detector, *min_score, **settings):
    """Each detection as its region's left edge and its class."""
    found = detector.detect(np.zeros((50, 100, 3), np.uint8), *min_score, **settings)
    return sorted(zip(found.boxes.tensor[:, 0].tolist(), found.labels.tolist(), strict=True))


LEARNT = Calibration(torch.tensor([-0.5, 0.5]), torch.tensor([-2.0, -1.0]), torch.zeros(2), "margin", "folds")


def test_each_class_is_shown_from_its_own_threshold_and_a_given_score_holds_for_all():
    detector = two_classes(LEARNT)
    assert found_by(detector) == [(0, 0), (20, 0), (20, 1)]  # the first region's .4 as a dog is below .5
    assert found_by(detector, 0.3) == [(0, 1), (20, 0), (20, 1)]
    assert found_by(two_classes()) == [(0, 1), (20, 0), (20, 1)]  # margins of 0 and more


def test_probabilities_are_told_where_curves_were_learnt():
    image = np.zeros((50, 100, 3), np.uint8)
    detector = two_classes(LEARNT)
    found = detector.detect(image)
    # .9 and -.4 as a cat, 1 / (1 + exp(-1.8)) and 1 / (1 + exp(.8)); .6 as a dog, 1 / (1 + exp(-.6))
    assert found.scores.tolist() == pytest.approx([0.9, 0.6, -0.4])
    assert detector.probabilities(found).tolist() == pytest.approx([0.85815, 0.64566, 0.31003], abs=1e-5)
    plain = two_classes()
    assert plain.probabilities(plain.detect(image)) is None


def test_a_region_is_found_for_one_class_only_where_the_model_or_the_caller_says_so():
    # Of those for which the first region scores enough: only as a cat, though its margin as a dog is better.
    assert found_by(two_classes(LEARNT), one_class_per_region=True) == [(0, 0), (20, 0)]
    assert found_by(two_classes(LEARNT, one_class_per_region=True)) == [(0, 0), (20, 0)]


@pytest.mark.parametrize("as_path", [True, False])
def test_stored_proposals_are_found_by_the_images_name_or_the_given_id(tmp_path, as_path):
    np.savez(tmp_path / "000012.npz", boxes=np.array([[20.0, 0, 30, 10], [0, 0, 10, 10]]))
    pixels = np.zeros((50, 100, 3), np.uint8)
    write_image(tmp_path / "000012.png", pixels)
    detector = two_classes()
    detector.generator = Precomputed(path=str(tmp_path))
    words = {"image": tmp_path / "000012.png"} if as_path else {"image": pixels, "image_id": "000012"}
    found = detector.detect(**words, min_score=0.7)
    assert found.boxes.tensor.tolist() == [[0, 0, 10, 10]]  # the second of the stored ones
    with pytest.raises(DataError, match="no proposals for image ''"):
        detector.detect(pixels)


class TimesTen(ToTheRight):
    """Moves a box to ten times its left edge."""

    def refine(self, features, boxes, labels):
        return Boxes(boxes.tensor + 9 * boxes.tensor[:, :1] * torch.tensor([1.0, 0, 1, 0]))


def test_boxes_are_moved_before_they_suppress(scorer):
    # Side by side the two share 8 of 12 columns; moved, the second stands at 20 and shares nothing.
    moved = RegionScorer(scorer.classifier, "fc7", TimesTen(num_classes=1, feature_dim=1), "pool5")
    boxes = [[0, 0, 10, 10], [2, 0, 12, 10]]
    assert detected(moved, boxes, [2.0, 1.0]) == [[0, 0, 10, 10], [20, 0, 30, 10]]


def test_boxes_are_moved_then_clipped(scorer):
    assert detected(scorer, [[80, 0, 97, 10]], [1.0]) == [[85, 0, 100, 10]]


MODEL = """
class_names: [cat, dog]
proposals: {NAME: SlidingWindow, SlidingWindow: {STRIDE: 0.5}}
backbone: {NAME: TinyNet, TinyNet: {WIDTH: 2, FC_DIM: 4, INPUT_SIZE: 32}}
region_extractor: {NAME: WarpedCrops, WarpedCrops: {PADDING: 0}}
classifier: {NAME: LinearSVM, LinearSVM: {}}
box_head: {NAME: Identity, Identity: {}}
classifier_layer: fc7
box_head_layer: fc7
postprocess: {}
compute: {dtype: float32}
import_paths: {}
"""


@pytest.mark.parametrize("compile", [True, False])
def test_load_compiles_where_asked(tmp_path, monkeypatch, compile):
    save_weights(tmp_path / "network.safetensors", TinyNet(width=2, fc_dim=4, input_size=32))
    svm = {"weight": torch.zeros(2, 4), "bias": torch.tensor([1.0, -torch.inf]), "scale": torch.ones(())}
    save_file(svm, tmp_path / "classifier.safetensors")
    save_file({}, tmp_path / "box_head.safetensors")
    (tmp_path / "model.yaml").write_text(MODEL)
    compiled = []

    def record(function, **words):
        compiled.append(function.__name__)
        return function

    monkeypatch.setattr(torch, "compile", record)
    found = detkit.load(tmp_path, device="cpu", compile=compile).detect(np.zeros((40, 60, 3), np.uint8))
    assert set(found.labels.tolist()) == {0} and set(found.scores.tolist()) == {1.0}
    assert {"map", "advance"} <= set(compiled) if compile else not compiled


@pytest.mark.parametrize("shape", [(0, 5, 3), (5, 0, 3), (5, 5), (5, 5, 4)])
def test_an_array_that_is_no_image_is_refused(scorer, shape):
    given = Given([], [])
    detector = Detector(class_names=("cat",), generator=given, network=given, scorer=scorer, settings=Postprocess())
    with pytest.raises(ValueError, match=r"expected an \(H, W, 3\) uint8 RGB image with pixels, got uint8 \("):
        detector.detect(np.zeros(shape, np.uint8))


def test_steps_are_those_of_detect_with_every_score_and_the_layers_that_were_asked_for():
    detector = two_classes(LEARNT)
    asked = []
    of_image = detector.network.of_image
    detector.network.of_image = lambda image, boxes, layers, *clock: asked.append(layers) or of_image()
    image = np.zeros((50, 100, 3), np.uint8)
    steps = detector.steps(image, layers=("pool5", "fc7"))
    assert asked == [["fc7", "pool5"]]
    assert steps.detections.scores.tolist() == detector.detect(image).scores.tolist()
    assert steps.candidates.every_score.tolist() == pytest.approx(np.array([[-0.4, 0.4], [0.9, 0.6]]))
    # .4 as a dog is below its threshold, so it is a score but no candidate
    assert len(steps.candidates.rows) == 3 and len(steps.proposals) == 2
    assert steps.min_score.tolist() == [-0.5, 0.5]


class Watched(Given):
    """A network whose margin of a region is its left edge; ``asked`` keeps the left edges of each call."""

    def __init__(self, boxes):
        super().__init__(boxes, [])
        self.asked = []

    def of_image(self, image, boxes, layers, *clock):
        assert layers == ["fc7", "pool5"]
        self.asked.append(boxes.tensor[:, 0].tolist())
        return {"fc7": boxes.tensor[:, :1] - 20, "pool5": torch.zeros(len(boxes), 1)}


def iterated(scorer, boxes, min_score=-100.0, **settings):
    """(left edge, score) of each detection, by left edge, and what the network was asked for."""
    given = Watched(boxes)
    scorer.box_head.reads_features = True
    settings = Postprocess(nms_iou=1.0, **settings)
    detector = Detector(class_names=("cat",), generator=given, network=given, scorer=scorer, settings=settings)
    found = detector.detect(np.zeros((50, 100, 3), np.uint8), min_score=min_score)
    return sorted(zip(found.boxes.tensor[:, 0].tolist(), found.scores.tolist())), given.asked


TWO = [[0, 0, 10, 10], [40, 0, 50, 10]]


def test_boxes_are_moved_once_and_no_new_crop_is_asked_for(scorer):
    assert iterated(scorer, TWO) == ([(5, -20), (45, 20)], [[0, 40]])
    assert iterated(scorer, TWO, rescore=True) == ([(5, -20), (45, 20)], [[0, 40]])


def test_each_further_iteration_moves_the_box_of_the_one_before_by_its_own_crop(scorer):
    # the score is the proposal's; with rescoring that of the crop which was moved last, 10 pixels further
    asked = [[40, 0], [45, 5], [50, 10]]
    assert iterated(scorer, TWO, refine_iterations=3)[0] == [(15, -20), (55, 20)]
    found, crops = iterated(scorer, TWO, refine_iterations=3, rescore=True)
    assert found == [(15, -10), (55, 30)]
    assert [sorted(c) for c in crops] == [sorted(a) for a in asked]


def test_only_what_is_moved_is_cropped_again(scorer):
    found, crops = iterated(scorer, TWO, refine_iterations=3, refine_above=0.0)
    assert (found, crops) == ([(0, -20), (50 + 5, 20)], [[0, 40], [45], [50]])
    # with rescoring a crop that falls below the limit is moved no more: a margin of 20, then 25 at 45
    assert iterated(scorer, TWO, refine_iterations=3, refine_above=22.0, rescore=True)[0] == [(0, -20), (40, 20)]


def test_a_head_that_moves_nothing_asks_for_no_crop(scorer, monkeypatch):
    monkeypatch.setattr(ToTheRight, "refine", Identity.refine)
    assert iterated(scorer, TWO, refine_iterations=5, rescore=True) == ([(0, -20), (40, 20)], [[0, 40]])


def test_new_crops_are_inside_the_image_and_hold_a_pixel(scorer):
    # 88..98 -> 93..103, of which 93..100 is cropped -> 98..105, of which 98..100 -> 103..105: nothing in the image
    found, crops = iterated(scorer, [[88, 0, 98, 10]], refine_iterations=3)
    assert crops == [[88], [93], [98]] and found == []
    # 94.5..99.5 -> 99.5..104.5: half a pixel is left, which is not cropped
    found, crops = iterated(scorer, [[94.5, 0, 99.5, 10]], refine_iterations=3)
    assert crops == [[94.5]] and found == [(99.5, 74.5)]


def test_the_least_score_is_that_of_the_last_crop_where_scores_are_made_anew(scorer):
    # margins -5 and 20 of the proposals, 0 and 25 of the crops that are moved last
    boxes = [[15, 0, 25, 10], [40, 0, 50, 10]]
    assert iterated(scorer, boxes, 0.0, refine_iterations=2)[0] == [(50, 20)]
    assert iterated(scorer, boxes, 0.0, refine_iterations=2, rescore=True)[0] == [(25, 0), (50, 25)]
    assert iterated(scorer, boxes, 0.5, refine_iterations=2, rescore=True)[0] == [(50, 25)]


def test_a_rescored_crop_for_which_its_class_does_not_fire_is_no_detection(scorer, monkeypatch):
    fires = {-20.0, 20.0, 25.0}
    given = scorer.classifier.score
    monkeypatch.setattr(
        scorer.classifier,
        "score",
        lambda features: torch.where(torch.isin(given(features), torch.tensor([*fires])), given(features), -torch.inf),
    )
    assert iterated(scorer, TWO, -np.inf, refine_iterations=2, rescore=True)[0] == [(50, 25)]


def test_a_list_of_arrays_pil_images_and_files_gives_a_list(tmp_path):
    detector, grey = two_classes(), np.full((50, 100), 90, np.uint8)
    colour = np.stack([grey] * 3, 2)
    write_image(tmp_path / "grey.png", colour)
    pictures = [colour, Image.fromarray(grey), Image.fromarray(colour), str(tmp_path / "grey.png")]
    every = detector.detect(pictures, min_score=-9, most=1)
    assert [len(found) for found in every] == [1, 1, 1, 1]
    for found in every:
        np.testing.assert_array_equal(found.image, colour)
        assert found.scores.tolist() == detector.detect(colour, min_score=-9).scores[:1].tolist()
    assert detector.detect([]) == []
    assert detector.detect(colour, {detector.class_names[0]: 100.0}, classes=detector.class_names[:1]).plain() == {
        "score_kind": "margin",
        "detections": [],
    }


def test_a_candidate_loses_by_how_badly_its_proposal_lay(scorer):
    # A box of 15 x 9 that moves by 5 shares 10 of 20 columns with where it was: an IoU of one half.
    boxes, features = Boxes.of([[0, 0, 15, 9]]), {"fc7": torch.tensor([[2.0]])}
    found = scorer.candidates(boxes, features, Postprocess(iou_weight=3.0))
    assert found.refined_scores.tolist() == pytest.approx([2 + 3 * np.log(0.5)])
    assert found.scores.tolist() == [2]
    assert len(scorer.candidates(boxes, features, Postprocess(iou_weight=3.0), min_score=0.0).rows) == 0
