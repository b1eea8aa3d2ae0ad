import numpy as np
import pytest
import torch

from detkit.box_heads.identity import Identity
from detkit.box_heads.ridge import Ridge
from detkit.classifiers.linear_svm import LinearSVM
from detkit.detection import judge as module
from detkit.detection.judge import Judge
from detkit.detection.postprocess import Postprocess
from detkit.detection.scorer import OneImage, RegionScorer
from detkit.regions.features import RegionFeatures
from detkit.regions.source import ArraySource
from detkit.structures import Boxes

SQUARE, NEAR, FAR = [0, 0, 20, 20], [0, 0, 20, 15], [50, 50, 90, 90]


class Given(RegionFeatures):
    """Features of each layer that are given; notes which rows are asked for by image."""

    def __init__(self, index, **layers):
        self.index, self.layers, self.asked = index, {k: torch.tensor(v) for k, v in layers.items()}, []

    def dim(self, layer):
        return self.layers[layer].shape[1]

    def source(self, layer):
        return ArraySource(self.index, self.layers[layer])

    def _images(self, requests, layers):
        for image, rows in requests:
            self.asked += rows.tolist()
            yield image, {layer: self.layers[layer][torch.as_tensor(rows)] for layer in layers}


def margins_as_given(sign=1.0):
    """Two classes, whose margins are the two features times a sign."""
    svm = LinearSVM(num_classes=2, feature_dim=2)
    svm.load({"weight": sign * torch.eye(2), "bias": torch.zeros(2), "scale": torch.ones(())})
    return svm


@pytest.fixture
def index(make_index):
    # rows: image 0: a truth of class 0 (0), its proposals 1 to 3; image 1: proposals 4, 5; image 2: a truth of 1 (6), 7
    return make_index([([SQUARE], [0], [NEAR, SQUARE, FAR]), ([], [], [NEAR, FAR]), ([FAR], [1], [FAR])], 2)


FC7 = [[9.0, 9], [1, -3], [2, -3], [0.5, 1], [1.5, 0], [-1, 4], [9, 9], [-2, 3]]


def plain(own):
    return own.scores.tolist(), own.hits.tolist(), own.num_truths


def judged(index, fc7=FC7, classifiers=None, fold=(0, 0, 0), head=None, **settings):
    head = head or Identity(num_classes=2, feature_dim=1)
    features = Given(index, fc7=fc7, pool5=[[1.0]] * len(index))
    scorer = RegionScorer(margins_as_given(), "fc7", head, "pool5")
    judge = Judge(scorer, features, features, ("cat", "dog"), Postprocess(**settings))
    return judge.matches(classifiers or [margins_as_given()], np.array(fold)), features


def test_detections_of_proposals_are_told_right_or_wrong_and_truths_are_no_candidates(index):
    (cat, dog), features = judged(index)
    # class 0: row 2 hits; row 1 is suppressed by it (IoU .75); row 4 is wrong, rows 3, 5 and 7 too
    assert plain(cat) == ([2, 1.5, 0.5, -1, -2], [True, False, False, False, False], 1)
    # class 1: row 5 is wrong, row 7 hits; of image 0 rows 3 and, of two equals, 1 stay; row 4 is wrong
    assert plain(dog) == ([4, 3, 1, 0, -3], [False, True, False, False, False], 1)
    assert features.asked == []  # a head that reads no features asks for none


def test_each_image_is_scored_by_the_classifier_of_its_fold(index):
    (cat, dog), _ = judged(index, classifiers=[margins_as_given(), margins_as_given(-1.0)], fold=(0, 0, 1))
    assert plain(cat)[0] == [2, 2, 1.5, 0.5, -1]  # image 2's -2 the other way round
    assert plain(dog) == ([4, 1, 0, -3, -3], [False] * 4 + [True], 1)


def test_of_each_class_the_best_regions_for_each_object_remain(index, monkeypatch):
    monkeypatch.setattr(module, "CANDIDATES_PER_TRUTH", 2)
    for held in (10**6, 1):  # whether the rest is let go at the end or image by image
        monkeypatch.setattr(module, "HELD_CANDIDATES", held)
        (cat, dog), _ = judged(index)
        assert (plain(cat)[0], plain(dog)[0]) == ([2, 1.5], [4, 3])


def test_the_box_head_reads_the_candidates_alone_and_moves_them_before_they_are_told(index, monkeypatch):
    monkeypatch.setattr(module, "CANDIDATES_PER_TRUTH", 1)
    head = Ridge(num_classes=2, feature_dim=1)
    move = torch.zeros(2, 4, 1)
    move[1, 0] = 2.0  # class 1 moves by two widths, so its best region no longer hits
    head.load({"weight": move, "bias": torch.zeros(2, 4), "scale": torch.ones(())})
    fc7 = [*FC7[:5], [-1, 0], *FC7[6:]]
    (cat, dog), features = judged(index, fc7, head=head)
    assert features.asked == [2, 7]
    assert (plain(cat), plain(dog)) == (([2], [True], 1), ([], [], 1))  # moved out of the image: no area
    (_, unmoved), _ = judged(index, fc7, head=head, refine_above=5.0)
    assert plain(unmoved) == ([3], [True], 1)


def test_images_without_proposals_count_with_their_objects(make_index):
    (cat, dog), _ = judged(make_index([([SQUARE], [0], []), ([], [], []), ([FAR], [0], [])], 2), [[9.0, 9], [9, 9]])
    assert (plain(cat), plain(dog)) == (([], [], 2), ([], [], 0))


class OneRight(Identity):
    """Moves every box by 20 pixels to the right."""

    def refine(self, features, boxes, labels):
        return Boxes(boxes.tensor + torch.tensor([20.0, 0, 20, 0]))


@pytest.mark.parametrize(("rescore", "score"), [(False, 3.0), (True, -7.0)])
def test_boxes_are_moved_as_often_as_the_settings_say_and_scored_by_the_classifier_of_the_fold(
    make_index, rescore, score
):
    # a proposal 40 pixels left of its truth, whose new crop has the features 7 and 0; the fold's margins are negated
    index = make_index([([[50, 0, 70, 20]], [0], [[10, 0, 30, 20]])], 2)
    features, asked = Given(index, fc7=[[9.0, 9], [-3, 4]]), []

    def image(number):
        def crop(boxes):
            asked.append((number, boxes.tensor.tolist()))
            return {"fc7": torch.tensor([[7.0, 0.0]]).expand(len(boxes), -1)}

        return OneImage((100, 100), crop)

    scorer = RegionScorer(margins_as_given(), "fc7", OneRight(num_classes=2, feature_dim=1), "fc7")
    settings = Postprocess(refine_iterations=2, rescore=rescore)
    judge = Judge(scorer, features, features, ("cat", "dog"), settings, image)
    cat, _ = judge.matches([margins_as_given(), margins_as_given(-1.0)], np.array([1]))
    assert plain(cat) == ([score], [True], 1)
    assert asked == [(0, [[30, 0, 50, 20]] * 2)]
