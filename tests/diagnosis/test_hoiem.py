"""Hoiem's analysis against its released code, and scenes of a few boxes for each kind of error."""

import json
from pathlib import Path

import numpy as np
import pytest

from detkit.diagnosis import hoiem, sensitivity
from detkit.diagnosis.hoiem import BG, IGNORED, LOC, OTH, RIGHT, SIM, VOC_GROUPS
from tests.diagnosis.hoiem_reference import OUTCOMES, outcomes
from tests.diagnosis.scenes import outcome

NUMBERS = json.loads(Path(__file__).with_name("hoiem_reference.json").read_text(encoding="utf-8"))
EXPECTED = {one["name"]: {known["name"]: known for known in one["classes"]} for one in NUMBERS}
IMPACT = {
    "ignoreloc": "without Loc",
    "fixloc": "Loc right",
    "ignoresimilar": "without Sim",
    "ignorebg": "without Oth and BG",
}


def row(found):
    return [found.num_truths, found.recall, found.ap, found.apn, found.ap_error, found.apn_error]


def same(found, expected):
    """Their mean over no hits is not a number, ours is 0; their standard error of one object is 0, ours no number."""
    number = [np.nan if value is None else value for value in expected]
    if number[0] == 1:
        number[4:] = [np.nan, np.nan]
    if np.isnan(number[2]) and number[0]:
        number[2:4] = [0, 0]
    assert row(found) == pytest.approx(number, abs=1e-9, nan_ok=True)


def equals_released_code(name, one, groups):
    found, parts = hoiem(one, groups), {own.class_name: own for own in sensitivity(one)}
    classes = {own.class_name: own for own in found.classes}
    order = one.order
    assert EXPECTED[name]
    for label, class_name in enumerate(one.class_names):
        if class_name not in EXPECTED[name]:
            continue
        theirs = EXPECTED[name][class_name]
        kinds = found.kinds[order[one.det_labels[order] == label]]
        assert "".join(map(str, np.maximum(kinds - 1, 0))) == theirs["kinds"]
        same(classes[class_name].all, theirs["all"])
        for key, mended in IMPACT.items():
            if key in theirs:
                same(classes[class_name].impact[mended], theirs[key])
        for key in ("area", "height", "aspect", "truncated"):
            if key in theirs:
                own = parts[class_name].characteristics["truncation" if key == "truncated" else key]
                for bin_found, bin_theirs in zip(own.bins.values(), theirs[key], strict=True):
                    same(bin_found, bin_theirs)


@pytest.mark.parametrize("name", OUTCOMES)
def test_kinds_impact_and_sensitivity_equal_the_released_code(name):
    equals_released_code(name, *outcomes(None)[name])


def test_kinds_impact_and_sensitivity_equal_the_released_code_on_photographs(shared):
    equals_released_code("voc12", *outcomes(shared)["voc12"])


CAT = (0, "cat", (0, 0, 100, 100))
DOG = (0, "dog", (200, 0, 300, 100))
CAR = (0, "car", (400, 0, 500, 100))
SIMILAR = [["cat", "dog"]]


def kinds_of(truths, dets, groups=SIMILAR):
    return hoiem(outcome(truths, dets), groups).kinds.tolist()


@pytest.mark.parametrize(
    ("kind", "box"),
    [
        (RIGHT, (0, 0, 100, 50)),  # IoU 0.5
        (LOC, (0, 0, 100, 49)),
        (LOC, (0, 0, 100, 10)),  # 0.1
        (BG, (0, 0, 100, 9)),
        (SIM, (200, 0, 300, 100)),
        (OTH, (400, 0, 500, 100)),
        (BG, (700, 700, 800, 800)),
    ],
)
def test_one_detection_is_of_its_kind(kind, box):
    assert kinds_of([CAT, DOG, CAR], [(0, "cat", box, 0.9)]) == [kind]


def test_a_duplicate_is_a_localisation_error():
    assert kinds_of([CAT], [(*CAT, 0.9), (0, "cat", (0, 0, 100, 90), 0.8)]) == [RIGHT, LOC]


def test_similar_goes_before_other():
    # half over the dog, half over the car, IoU 1/3 each: any object of a similar class is enough
    car = (0, "car", (300, 0, 400, 100))
    assert kinds_of([DOG, car], [(0, "cat", (250, 0, 350, 100), 0.9)]) == [SIM]


def test_without_groups_no_error_is_of_a_similar_class():
    assert kinds_of([DOG], [(0, "cat", (200, 0, 300, 100), 0.9)], groups=[]) == [OTH]


def test_a_detection_of_a_difficult_object_is_ignored_and_a_second_one_is_not():
    found = kinds_of([(*CAT, "difficult")], [(*CAT, 0.9), (*CAT, 0.8)])
    assert found == [IGNORED, LOC]


def test_a_detection_takes_the_best_object_that_is_free():
    # The second one overlaps the taken cat most (0.9), and the free one by 0.55: VOC calls it wrong, Hoiem right.
    free = (0, "cat", (0, 0, 100, 55))
    assert kinds_of([CAT, free], [(*CAT, 0.9), (0, "cat", (0, 0, 100, 90), 0.8)]) == [RIGHT, RIGHT]


def test_impact_of_each_kind_by_hand():
    # wrong (Sim), right: precision 1/2 at recall 1. Without Sim precision is 1.
    found = hoiem(outcome([CAT, DOG], [(0, "cat", DOG[2], 0.9), (*CAT, 0.8)]), SIMILAR).classes[0]
    assert found.top == {"right": 0, "Loc": 0, "Sim": 1, "Oth": 0, "BG": 0}
    assert found.all.ap == 0.5
    assert found.impact["without Sim"].ap == 1
    assert found.impact["without BG"].ap == 0.5
    # N = 0.15 objects of one image: p_N = 0.15 / (1 + 0.15)
    assert found.all.apn == pytest.approx(0.15 / 1.15)


def test_voc_classes_have_vocs_groups_and_others_none():
    scene = outcome([CAT], [], classes=("cat", "dog"))
    assert hoiem(scene).groups == VOC_GROUPS
    assert hoiem(outcome([CAT], [], classes=("cat", "lynx"))).groups == ()


def test_a_group_with_an_unknown_class_is_refused():
    with pytest.raises(ValueError, match="no class 'lynx'; expected some of cat, dog, car"):
        hoiem(outcome([CAT], []), [["cat", "lynx"]])


def test_the_mix_of_the_best_false_positives():
    wrong = [(0, "cat", (700, 700, 800, 800), 1 - 0.01 * i) for i in range(20)]
    wrong += [(0, "cat", (0, 0, 100, 40), 0.5 - 0.01 * i) for i in range(10)]
    found = hoiem(outcome([CAT], wrong), [])
    assert found.trend_at == (25,)
    assert found.trend.tolist() == [[5, 0, 0, 20]]


def test_sensitivity_of_truncation_by_hand():
    # five whole objects are found, five truncated ones are not, and nothing is wrong
    whole = [(0, "cat", (100 * i, 0, 100 * i + 50, 50)) for i in range(5)]
    cut = [(0, "cat", (100 * i, 500, 100 * i + 50, 550), "truncated") for i in range(5)]
    found = sensitivity(outcome(whole + cut, [(*truth, 0.9) for truth in whole]))[0]
    truncation = found.characteristics["truncation"]
    assert (truncation.bins["N"].apn, truncation.bins["T"].apn) == (1, 0)
    assert (truncation.sensitivity, truncation.impact) == (1, 0.5)


def test_too_few_objects_give_no_sensitivity():
    found = sensitivity(outcome([CAT], []))[0].characteristics["area"]
    assert (found.best, found.sensitivity) == (None, None)
