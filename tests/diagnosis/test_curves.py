import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve

from detkit.diagnosis import best_thresholds, matches_of, pr_curves, threshold_curves, voc_verdicts
from tests.diagnosis.scenes import outcome, random_outcome

CAT = (0, "cat", (0, 0, 100, 100))
FAR = (0, "cat", (500, 500, 600, 600))


def test_pr_curve_by_hand():
    # right, wrong, and one object of two that is never found
    found = pr_curves(outcome([CAT, (0, "cat", (200, 200, 300, 300))], [(*CAT, 0.9), (*FAR, 0.8)]))[0]
    assert (found.num_truths, found.scores.tolist()) == (2, [0.9, 0.8])
    assert found.recall.tolist() == [0.5, 0.5]
    assert found.precision.tolist() == [1, 0.5]
    assert found.ap == 0.5
    assert found.ap_11_points == pytest.approx(6 / 11)


def test_a_class_without_objects_has_no_ap():
    found = pr_curves(outcome([CAT], [(0, "dog", CAT[2], 0.9)]))[1]
    assert (found.ap, found.num_truths, found.precision.tolist()) == (None, 0, [0])


@pytest.mark.parametrize("levels", [0, 4])
def test_precision_and_recall_over_the_threshold_equal_scikit_learn(levels):
    one = random_outcome(7, levels=levels)
    found = threshold_curves(one)
    for own, theirs in zip(matches_of(one, voc_verdicts(one)), found, strict=True):
        precision, recall, thresholds = precision_recall_curve(own.hits, own.scores)
        assert np.array_equal(theirs.thresholds[::-1], thresholds)
        assert theirs.precision[::-1] == pytest.approx(precision[:-1])
        # its recall is over the hits, ours over the objects
        assert theirs.recall[::-1] * own.num_truths == pytest.approx(recall[:-1] * own.hits.sum())


def test_where_nothing_is_right_no_threshold_is_best():
    found = threshold_curves(outcome([CAT], [(*FAR, 0.9)]))[0]
    assert (found.best_threshold, found.best_f1) == (None, None)


def test_best_and_own_threshold_by_hand():
    # From 0.9 on: 1 right of 2 objects, F1 2/3. From 0.7: 2 right, 1 wrong, F1 4/5.
    second = (0, "cat", (200, 200, 300, 300))
    one = outcome([CAT, second], [(*CAT, 0.9), (*FAR, 0.8), (*second, 0.7)])
    found = threshold_curves(one, [0.8, 0.0, 0.0])
    assert found[0].f1 == pytest.approx([2 / 3, 1 / 2, 4 / 5])
    assert (found[0].best_threshold, found[0].best_f1) == (0.7, pytest.approx(0.8))
    assert (found[0].own_precision, found[0].own_recall, found[0].own_f1) == (0.5, 0.5, 0.5)
    assert (found[1].best_threshold, found[1].own_precision) == (None, None)
    assert best_thresholds(found).tolist() == [0.7, np.inf, np.inf]
