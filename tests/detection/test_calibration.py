import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from detkit.detection.calibration import Calibration, expected_f1, fit_platt
from detkit.errors import ModelError
from detkit.evaluation.curves import Matches
from detkit.structures import Boxes, Detections


def drawn(num_right, num_wrong, seed, shift=0.0):
    """Detections of a class whose right ones score higher, on the average; a fifth more truths were not found."""
    rng = np.random.default_rng(seed)
    scores = np.concatenate([rng.normal(shift, 0.5, num_right), rng.normal(shift - 1, 0.3, num_wrong)])
    best_first = np.argsort(-scores)
    return Matches.of(scores[best_first], (np.arange(len(scores)) < num_right)[best_first], round(1.2 * num_right))


def test_platts_curve_of_two_scores_meets_his_targets():
    # 3 hits and 1 other at x = 1, 1 hit and 3 others at x = -1: targets 5/6 of the 4 hits and 1/6 of the 4 others.
    # Two free numbers for two scores: the curve meets each one's mean target, (3 * 5/6 + 1/6) / 4 = 2/3 and 1/3.
    # log(1/p - 1) is -log 2 at 1 and log 2 at -1: a = -log 2, b = 0.
    x = np.array([1.0] * 4 + [-1.0] * 4)
    hits = np.array([True] * 3 + [False] + [True] + [False] * 3)
    assert fit_platt(x, hits) == pytest.approx((-np.log(2), 0), abs=1e-8)


@pytest.mark.parametrize("scale", [1.0, 30.0, 1e-3])
def test_platts_curve_is_logistic_regression_on_smoothed_targets(scale):
    own = drawn(40, 900, seed=1)
    x, t = own.scores * scale, np.where(own.hits, 41 / 42, 1 / 902)
    twice, ones = np.tile(x / scale, 2)[:, None], np.repeat([1, 0], len(x))
    peer = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(twice, ones, np.concatenate([t, 1 - t]))
    expected = (-peer.coef_[0, 0] / scale, -peer.intercept_[0])
    assert fit_platt(x, own.hits) == pytest.approx(expected, rel=1e-4)


def test_a_gap_between_hits_and_others_gives_a_finite_curve():
    a, b = fit_platt(np.array([2.0, 2.0, -2.0]), np.array([True, True, False]))
    # 3/4 at 2, 1/3 at -2: log(1/p - 1) is -log 3 and log 2
    assert (2 * a + b, -2 * a + b) == pytest.approx((-np.log(3), np.log(2)), abs=1e-6)


def test_expected_f1_is_that_of_the_best_number_of_detections():
    # of 2 truths: 2 * .9 / 3 = .6; 2 * 1.5 / 4 = .75; 2 * 1.6 / 5 = .64
    assert expected_f1(np.array([0.9, 0.6, 0.1]), 2) == pytest.approx(0.75)
    assert expected_f1(np.zeros(0), 2) == 0


def f1(own, threshold):
    shown = own.scores >= threshold
    return 2 * own.hits[shown].sum() / (shown.sum() + own.num_truths)


@pytest.mark.parametrize(("num_right", "loss"), [(12, 0.06), (40, 0.03), (400, 0.015)])
def test_threshold_is_near_the_best_one_of_other_detections(num_right, loss):
    test = drawn(20000, 300000, seed=100)
    best = max(f1(test, t) for t in np.linspace(-1.5, 1, 100))
    losses = []
    for seed in range(10):
        learnt = Calibration.fit([drawn(num_right, 15 * num_right, seed)], "margin", "folds")
        losses.append(best - f1(test, float(learnt.thresholds[0])))
    assert np.mean(losses) < loss
    assert best - f1(test, 0.0) > 0.1  # what margins of 0 and more lose


def test_probability_is_the_share_of_right_ones():
    learnt = Calibration.fit([drawn(400, 4000, seed=0)], "margin", "folds")
    test = drawn(20000, 200000, seed=100)
    p = learnt.probability(torch.from_numpy(test.scores).float(), torch.zeros(len(test.scores), dtype=torch.int64))
    for low in (0.3, 0.5, 0.7, 0.9):
        within = ((p >= low) & (p < low + 0.1)).numpy()
        assert test.hits[within].mean() == pytest.approx(low + 0.05, abs=0.1)


def test_each_class_has_its_own_threshold_and_curve():
    learnt = Calibration.fit([drawn(100, 900, 0), drawn(100, 900, 0, shift=2.0)], "margin", "validation")
    assert learnt.source == "validation"
    assert float(learnt.thresholds[1] - learnt.thresholds[0]) == pytest.approx(2, abs=1e-4)
    p = learnt.probability(torch.tensor([0.3, 2.3]), torch.tensor([0, 1]))
    assert p[0] == pytest.approx(float(p[1]), abs=1e-5)


def test_a_class_with_few_detections_takes_the_curve_of_all_together():
    many, few, none = drawn(100, 900, 0), drawn(9, 100, 1), Matches.of(np.zeros(0), np.zeros(0, bool), 3)
    learnt = Calibration.fit([many, few, none], "margin", "folds")
    alone = Calibration.fit([many], "margin", "folds")
    assert learnt.thresholds[1] == learnt.thresholds[2]
    assert learnt.thresholds[0] == alone.thresholds[0] != learnt.thresholds[1]


def test_a_class_whose_better_scores_are_less_often_right_takes_the_curve_of_all_together():
    upside_down = drawn(100, 900, 1)
    upside_down = Matches.of(-upside_down.scores[::-1], upside_down.hits[::-1], upside_down.num_truths)
    learnt = Calibration.fit([drawn(1000, 9000, 0), upside_down], "margin", "folds")
    assert bool((learnt.a < 0).all())


def test_of_too_few_detections_nothing_is_learnt():
    learnt = Calibration.fit([drawn(9, 100, 0)], "margin", "folds")
    assert (learnt.source, learnt.thresholds.tolist()) == ("none", [0.0])
    assert Calibration.fit([], "margin", "folds").source == "none"


def test_probabilities_are_calibrated_by_their_log_odds():
    # the same detections as margins and as the probabilities whose log-odds they are
    own = drawn(100, 900, 0)
    s = 1 / (1 + np.exp(-own.scores))
    as_margins = Calibration.fit([own], "margin", "validation")
    learnt = Calibration.fit([Matches.of(s, own.hits, own.num_truths)], "probability", "validation")
    margin = float(as_margins.thresholds[0])
    assert float(learnt.thresholds[0]) == pytest.approx(1 / (1 + np.exp(-margin)), rel=1e-5)
    scores, label = torch.tensor([0.0, 0.6, 1.0]), torch.zeros(3, dtype=torch.int64)
    p = learnt.probability(scores, label)
    assert float(p[1]) == pytest.approx(
        float(as_margins.probability(torch.tensor([np.log(1.5)]), label[:1])[0]), rel=1e-5
    )
    assert bool(p.isfinite().all()) and p.dtype == torch.float32


def test_without_anything_learnt_margins_have_no_probability_and_probabilities_are_their_own():
    scores, labels = torch.tensor([0.25, 0.75]), torch.tensor([0, 0])
    found = Detections.of(Boxes.of([[0, 0, 9, 9]] * 2), scores, labels)
    margins, probabilities = Calibration.none(1, "margin"), Calibration.none(1, "probability")
    assert margins.probability(scores, labels) is None
    assert probabilities.probability(scores, labels).tolist() == [0.25, 0.75]
    assert margins.shown(found).scores.tolist() == [0.25, 0.75]
    assert probabilities.shown(found).scores.tolist() == [0.75]


def test_shown_is_what_reaches_the_threshold_of_its_class_with_its_probability():
    learnt = Calibration(torch.tensor([-0.5, 0.5]), -torch.ones(2), torch.zeros(2), "margin", "folds")
    scores, labels = [-0.5, -0.6, 0.5, 0.4], [0, 0, 1, 1]
    shown = learnt.shown(Detections.of(Boxes.of([[0, 0, 9, 9]] * 4), scores, labels))
    assert shown.labels.tolist() == [0, 1]
    # 1 / (1 + e^.5) and 1 / (1 + e^-.5)
    assert shown.scores.tolist() == pytest.approx([0.37754, 0.62246], abs=1e-5)


def test_state_comes_back_and_one_of_other_classes_is_refused():
    learnt = Calibration.fit([drawn(100, 900, 0), drawn(100, 900, 1)], "margin", "folds")
    again = Calibration.of(learnt.state(), 2, "margin", "folds")
    assert all(torch.equal(own, again.state()[name]) for name, own in learnt.state().items())
    with pytest.raises(ModelError, match=r"calibration: tensor 'thresholds' is \(2,\), expected \(3,\)"):
        Calibration.of(learnt.state(), 3, "margin", "folds")
