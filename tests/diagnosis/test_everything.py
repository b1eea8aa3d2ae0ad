import json

import numpy as np
import pytest

from detkit.diagnosis import diagnose, plain
from detkit.diagnosis.plain import CURVE_POINTS
from detkit.evaluation.curves import nan_mean
from tests.diagnosis.scenes import outcome, random_outcome

CAT = (0, "cat", (0, 0, 100, 100))


def test_everything_goes_to_json_and_thinned_curves_keep_their_figures():
    one = random_outcome(30, images=100, classes=2)
    found = diagnose(one)
    text = json.dumps(plain(found), allow_nan=False)
    read = json.loads(text)
    curve = read["pr_curves"][0]
    assert len(found.pr_curves[0].scores) > CURVE_POINTS == len(curve["scores"]) == len(curve["recall"])
    assert curve["ap"] == found.pr_curves[0].ap
    assert curve["recall"][-1] == found.pr_curves[0].recall[-1]
    assert read["thresholds_from"] == "best F1"
    assert "kinds" not in read["hoiem"] and "points_at" not in read["tide"]


@pytest.mark.parametrize(
    "one",
    [
        outcome([], []),
        outcome([CAT], []),
        outcome([], [(*CAT, 0.9)]),
        outcome([(*CAT, "difficult")], [(*CAT, 0.9)]),
        outcome([CAT], [(*CAT, 0.9)], images=3),
    ],
    ids=["nothing", "no detections", "no objects", "nothing that counts", "empty images"],
)
def test_outcomes_with_next_to_nothing_are_diagnosed(one):
    from detkit.report.diagnosis_text import diagnosis_text

    found = diagnose(one)
    json.dumps(plain(found), allow_nan=False)
    assert "first broken" in diagnosis_text(found) or "no rung is broken" in diagnosis_text(found)


def test_own_thresholds_and_probabilities_are_those_of_the_model():
    one = outcome([CAT], [(*CAT, -0.5)])
    found = diagnose(one, own_thresholds=[-1, 0, 0], probabilities=np.array([0.75]))
    assert found.thresholds_from == "model"
    assert found.confusion.counts[0, 0] == 1
    assert found.reliability.ece == 0.25
    assert diagnose(one).reliability is None


def test_a_mean_of_nothing_is_no_number():
    assert np.isnan(nan_mean(np.array([np.nan]))) and nan_mean(np.array([np.nan, 3.0])) == 3


def test_a_strict_overlap_is_asked_of_every_curve():
    one = outcome([(0, "cat", (0, 0, 100, 100))], [(0, "cat", (0, 0, 100, 50), 0.9)])
    for strict, ap in ((False, 1.0), (True, 0.0)):
        found = diagnose(one, strict=strict)
        assert found.pr_curves[0].ap == found.ap_by_iou.voc[0, 0] == ap
        assert found.threshold_curves[0].best_f1 == (None if strict else 1.0)
        assert np.nanmax(found.reliability.accuracy) == ap
