"""TIDE against tidecv 1.0.1, and scenes of a few boxes for each kind of error."""

import json
from pathlib import Path

import numpy as np
import pytest

from detkit.diagnosis import tide
from detkit.diagnosis.tide import KINDS
from tests.diagnosis.scenes import RANDOM, SHARED_ORACLES, outcome, random_outcome

NUMBERS = json.loads(Path(__file__).with_name("tide_reference.json").read_text(encoding="utf-8"))


def equals_tidecv(name, one):
    found, expected = tide(one), NUMBERS[name]
    assert dict(found.counts) == expected["counts"]
    assert found.ap == pytest.approx(expected["ap"], abs=1e-9)
    assert dict(found.gains) == pytest.approx(expected["gains"], abs=1e-9)
    assert dict(found.special) == pytest.approx(expected["special"], abs=1e-9)


@pytest.mark.parametrize("name", RANDOM)
def test_counts_and_gains_equal_tidecv(name):
    equals_tidecv(name, random_outcome(**RANDOM[name]))


@pytest.mark.parametrize("name", SHARED_ORACLES)
def test_counts_and_gains_equal_tidecv_on_photographs(name, shared):
    equals_tidecv(name, SHARED_ORACLES[name](shared))


CAT = (0, "cat", (0, 0, 100, 100))


def kinds_of(truths, dets, **settings):
    found = tide(outcome(truths, dets, **settings))
    return [KINDS[kind] if kind >= 0 else "" for kind in found.kinds], len(found.missed)


@pytest.mark.parametrize(
    ("kind", "truths", "det", "missed"),
    [
        ("", [CAT], (0, "cat", (0, 0, 100, 80)), 0),
        ("Loc", [CAT], (0, "cat", (0, 0, 100, 40)), 0),  # IoU 0.4
        ("Loc", [CAT], (0, "cat", (0, 0, 100, 10)), 0),  # 0.1, the lower end
        ("Cls", [CAT], (0, "dog", (0, 0, 100, 80)), 0),
        ("Both", [CAT], (0, "dog", (0, 0, 100, 40)), 1),
        ("Bkg", [CAT], (0, "cat", (500, 500, 600, 600)), 1),
        ("Bkg", [CAT], (0, "dog", (0, 0, 100, 10)), 1),
        # both a badly placed dog and a well placed cat: Loc is tested first
        ("Loc", [CAT, (0, "dog", (0, 60, 100, 160))], (0, "dog", (0, 0, 100, 100)), 1),
    ],
)
def test_one_detection_is_of_its_kind(kind, truths, det, missed):
    assert kinds_of(truths, [(*det, 0.9)]) == ([kind], missed)


def test_a_second_detection_of_an_object_is_a_duplicate():
    assert kinds_of([CAT], [(*CAT, 0.9), (0, "cat", (0, 0, 100, 90), 0.8)]) == (["", "Dupe"], 0)


def test_the_better_one_of_two_errors_on_an_object_is_mended():
    # The dog at 0.9 would become the cat; the badly placed cat at 0.8 then goes. Mending Loc alone only deletes it.
    found = tide(outcome([CAT], [(0, "dog", (0, 0, 100, 90), 0.9), (0, "cat", (0, 0, 100, 40), 0.8)]))
    assert found.counts == {"Cls": 1, "Loc": 1, "Both": 0, "Dupe": 0, "Bkg": 0, "Miss": 0}
    # AP is 0 (cat 0, dog 0 without objects); with Cls mended cat is 1 and dog is gone.
    assert found.ap == 0
    assert found.gains["Cls"] == pytest.approx(1)
    assert found.gains["Loc"] == 0


def test_margins_below_minus_one_are_mended_too():
    dets = [(0, "cat", (0, 0, 100, 40), -3.0)]
    assert tide(outcome([CAT], dets)).gains["Loc"] == pytest.approx(1)


def test_nothing_gives_no_ap():
    found = tide(outcome([], []))
    assert found.ap is None
    assert set(found.counts.values()) == {0}


def test_objects_without_detections_are_all_missed():
    found = tide(outcome([CAT, (0, "dog", (0, 0, 50, 50))], []))
    assert (found.ap, found.counts["Miss"], len(found.missed)) == (0, 2, 2)
    assert np.isclose(found.gains["Miss"], 0)
