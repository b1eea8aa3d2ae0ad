import numpy as np
from sklearn import metrics

from detkit.diagnosis import confusion_matrix
from tests.diagnosis.scenes import outcome

CAT = (0, "cat", (0, 0, 100, 100))
DOG = (0, "dog", (200, 0, 300, 100))


def counts(truths, dets, thresholds=0.0):
    return confusion_matrix(outcome(truths, dets), thresholds).counts.tolist()


def test_each_cell_by_hand():
    dets = [
        (*CAT, 0.9),  # right
        (0, "cat", (0, 0, 100, 90), 0.8),  # a second one: background taken for a cat
        (0, "car", DOG[2], 0.7),  # a dog taken for a car
        (0, "dog", (700, 700, 800, 800), 0.6),  # background taken for a dog
        (0, "dog", DOG[2], 0.1),  # not shown
    ]
    found = counts([CAT, DOG, (0, "car", (400, 400, 500, 500))], dets, 0.5)
    assert found == [[1, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [1, 1, 0, 0]]


def test_thresholds_are_of_each_class():
    assert counts([CAT, DOG], [(*CAT, 0.4), (*DOG, 0.4)], [0.3, 0.5, 0.5])[:2] == [[1, 0, 0, 0], [0, 0, 0, 1]]


def test_an_object_goes_to_its_own_class_before_a_better_score_of_another():
    assert counts([CAT], [(0, "dog", CAT[2], 0.9), (0, "cat", (0, 0, 100, 60), 0.5)]) == [
        [1, 0, 0, 0],
        [0, 0, 0, 0],
        [0, 0, 0, 0],
        [0, 1, 0, 0],
    ]


def test_what_an_ignored_object_explains_is_left_out():
    truths = [(*CAT, "difficult"), (0, "dog", (0, 0, 400, 400), "crowd"), (0, "other", (500, 500, 600, 600))]
    dets = [(*CAT, 0.9), (0, "dog", (300, 300, 350, 350), 0.8), (0, "car", (500, 500, 600, 600), 0.7)]
    assert not np.any(counts(truths, dets))


def test_single_objects_of_each_image_equal_scikit_learn():
    rng = np.random.default_rng(0)
    true, seen = rng.integers(0, 4, 200), rng.integers(0, 4, 200)  # 3 is the background
    names = ("cat", "dog", "car")
    box = (0, 0, 10, 10)
    one = outcome(
        [(i, names[k], box) for i, k in enumerate(true) if k < 3],
        [(i, names[k], box, 0.5) for i, k in enumerate(seen) if k < 3],
        images=200,
    )
    expected = metrics.confusion_matrix(true, seen)
    expected[3, 3] = 0  # nothing there and nothing seen
    assert np.array_equal(confusion_matrix(one, 0.0).counts, expected)
