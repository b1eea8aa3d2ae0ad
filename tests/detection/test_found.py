from __future__ import annotations

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from detkit.detection.choice import least_scores
from detkit.detection.found import Found
from detkit.errors import ConfigError
from detkit.structures import Boxes


@pytest.fixture
def found():
    """A dog and a cat in an image of 40 x 30 pixels whose red is the column and green the row."""
    rows, columns = np.mgrid[:30, :40]
    image = np.stack([columns, rows, rows * 0], 2).astype(np.uint8)
    boxes = Boxes.of([[10.4, 5.0, 20.2, 12.0], [39.5, 29.5, 40.0, 30.0]])
    scores, labels, rows = torch.tensor([2.0, -1.0]), torch.tensor([1, 0]), torch.tensor([7, 3])
    return Found(boxes, scores, labels, rows, image, ("cat", "dog"), "margin", torch.tensor([0.9, 0.25]))


def test_some_rows_keep_what_belongs_to_them(found):
    second = found[torch.tensor([1])]
    assert isinstance(second, Found) and second.image is found.image
    assert (second.probabilities.tolist(), second.labels.tolist(), second.proposal_rows.tolist()) == ([0.25], [0], [3])


def test_crops_hold_each_pixel_that_a_box_touches(found):
    first, second = found.crops()
    # columns 10 to 20 are touched by 10.4 to 20.2, rows 5 to 11 by 5 to 12
    assert (first[0, 0, 0], first[-1, -1, 0], first[0, 0, 1], first[-1, -1, 1]) == (10, 20, 5, 11)
    assert second.shape == (1, 1, 3) and second[0, 0].tolist() == [39, 29, 0]


def test_dict_is_torchvisions_form(found):
    told = found.to_dict()
    assert list(told) == ["boxes", "labels", "scores"]
    assert told["boxes"].shape == (2, 4) and told["labels"].dtype == torch.int64
    assert told["scores"].tolist() == [2.0, -1.0]


def test_picture_shows_probabilities(found, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "detkit.detection.found.draw_detections", lambda image, shown, names: drawn.append(shown) or image
    )
    assert isinstance(found.draw(), Image.Image)
    assert drawn[0].scores.tolist() == pytest.approx([0.9, 0.25])


def test_plain_values_stand_in_json(found):
    first = {"box": [10.4, 5.0, 20.2, 12.0], "class": "dog", "score": 2.0, "probability": 0.9}
    assert found.plain()["detections"][0] == first


def test_supervision_gets_probabilities_and_names(found, monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", SimpleNamespace(Detections=SimpleNamespace))
    told = found.to_supervision()
    assert told.confidence.tolist() == pytest.approx([0.9, 0.25])
    assert told.class_id.tolist() == [1, 0] and told.data["class_name"].tolist() == ["dog", "cat"]
    np.testing.assert_array_equal(told.xyxy, found.boxes.numpy())
    assert found[:0].to_supervision().data["class_name"].shape == (0,)


def test_without_supervision_it_is_said_what_to_install(found, monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(ConfigError, match="supervision is not installed; pip install"):
        found.to_supervision()


OWN = torch.tensor([0.5, 1.0])


@pytest.mark.parametrize(
    ("asked", "least"),
    [
        ({}, [0.5, 1.0]),
        ({"min_score": -2}, [-2.0, -2.0]),
        ({"min_score": {"dog": 3.0}}, [0.5, 3.0]),
        ({"classes": ["dog"]}, [torch.inf, 1.0]),
        ({"min_score": 0.25, "classes": []}, [torch.inf, torch.inf]),
    ],
)
def test_least_scores_are_the_models_unless_others_are_asked_for(asked, least):
    assert least_scores(OWN, ("cat", "dog"), **asked).tolist() == least
    assert OWN.tolist() == [0.5, 1.0]


def test_a_score_that_is_no_number_is_refused():
    with pytest.raises(ConfigError, match="expected numbers"):
        least_scores(OWN, ("cat", "dog"), float("nan"))
