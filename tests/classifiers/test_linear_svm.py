import gc
import weakref

import numpy as np
import pytest
import torch

from detkit.classifiers import svm_training
from detkit.classifiers.hinge import HingeSolver
from detkit.classifiers.linear_svm import LinearSVM
from detkit.classifiers.mining import mine
from detkit.errors import ConfigError, DataError
from detkit.regions.held import HeldRows
from detkit.regions.source import LinearHead, SomeImages
from detkit.testing import check_component

SQUARE, CLOSE, FAR = [0, 0, 20, 20], [0, 0, 20, 14], [60, 60, 90, 90]


def separable(make_index, array_source, images=12):
    """Class k's truths have feature k large; background has feature 2 large. Class 2 has no truth."""
    index = make_index([([SQUARE], [i % 2], [CLOSE] + [FAR] * 10) for i in range(images)], 3)
    features = np.random.default_rng(0).random((len(index), 4), dtype=np.float32)
    features[index.label == 3, 2] += 5
    for k in range(2):
        features[index.label == k, k] += 5
    return array_source(index, features)


@pytest.fixture
def source(make_index, array_source):
    return separable(make_index, array_source)


def fit(source, seed=0, **settings):
    return LinearSVM(num_classes=3, feature_dim=4, c=0.01, **settings).fit(source, np.random.default_rng(seed))


def test_truths_score_above_and_background_below_zero(source):
    index, scores = source.index, fit(source).score(source.take(np.arange(len(source.index))))
    for k in range(2):
        assert (scores[index.truth_label == k, k] > 0).all()
        assert (scores[index.label == 3, k] < 0).all()


def test_a_class_without_truths_never_fires_and_is_reported(source):
    svm = fit(source)
    assert (svm.score(torch.rand(5, 4) * 1000)[:, 2] == -torch.inf).all()
    assert svm.report()["never_fires"] == [2]
    assert svm.report()["positives"] == [6, 6, 0] and svm.report()["objective"][2] is None


def test_the_report_names_the_hardest_negatives_with_their_margins(source):
    svm = fit(source)
    hardest = svm.report()["hardest_negatives"]
    margins = [one["margin"] for one in hardest[0]]
    assert len(margins) == 12 and margins == sorted(margins, reverse=True) and hardest[2] == []
    image = next(i for i, s in enumerate(source.index.samples) if s.image_id == hardest[0][0]["image_id"])
    rows = source.index.rows(image)
    own = svm.score(source.take(np.arange(rows.start, rows.stop)))[:, 0].tolist()
    at = source.index.boxes[slice(rows.start, rows.stop)].tensor.tolist()
    assert any(box == hardest[0][0]["box"] and abs(m - margins[0]) < 1e-4 for box, m in zip(at, own))
    assert [len(one["objectives"]) for one in svm.report()["mining"]] == svm.report()["trainings"]


def test_a_class_without_negatives_never_fires(make_index, array_source):
    index = make_index([([SQUARE], [0], [CLOSE])], 3)
    svm = fit(array_source(index, np.ones((2, 4), np.float32)))
    assert svm.report()["never_fires"] == [0, 1, 2]


def test_regions_near_a_truth_are_negatives_of_other_classes_alone(source):
    # each of the 6 images of a class gives its 10 far boxes; those of the other class their truth and close box, too
    assert fit(source, retrain_after=10**6, evict_below=-1e9, hard_margin=-1e8).report()["cached_negatives"] == [
        6 * 10 + 6 * 12,
        6 * 10 + 6 * 12,
        0,
    ]
    svm = fit(source, retrain_after=10**6, evict_below=-1e9, hard_margin=-1e8, ignore="any_class")
    assert svm.report()["cached_negatives"] == [6 * 10 + 6 * 11, 6 * 10 + 6 * 11, 0]


def test_with_a_negative_iou_of_zero_classes_learn_from_what_overlaps_no_truth(source):
    # a class's truths overlap the close box of their image alone: its 10 far boxes, and all 12 of the other class's
    svm = fit(source, negative_iou=0.0, retrain_after=10**6, evict_below=-1e9, hard_margin=-1e8)
    assert svm.report()["cached_negatives"] == [12 * 10 + 6 * 2, 12 * 10 + 6 * 2, 0]
    assert svm.report()["never_fires"] == [2]


def test_features_are_scaled_to_the_target_norm_and_the_scale_is_kept(source):
    svm = fit(source)
    mean_norm = float(source.take(np.arange(len(source.index))).norm(dim=1).mean())
    assert float(svm.state()["scale"]) == pytest.approx(20 / mean_norm, rel=1e-5)
    assert float(fit(source, target_norm=0.0).state()["scale"]) == 1


def test_features_of_another_unit_give_the_same_scores(make_index, array_source, source):
    # doubling is exact in float16, so the scaled features agree to the last bits of float32
    features = source.take(np.arange(len(source.index)))
    doubled = fit(array_source(source.index, features * 2))
    torch.testing.assert_close(doubled.score(features * 2), fit(source).score(features), rtol=1e-4, atol=1e-4)


def test_another_seed_gives_nearly_the_same_scores(source):
    features = torch.rand(20, 4)
    first, other = (fit(source, seed, tol=1e-8).score(features)[:, :2] for seed in (0, 1))
    torch.testing.assert_close(first, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("passes", [1, 3])
def test_sample_and_truths_take_one_sweep_and_each_pass_of_mining_one(source, passes):
    fit(source, passes=passes)
    assert source.sweeps == ["take"] + ["blocks"] * passes
    assert source.taken == len(source.index)  # twelve images of twelve regions are all in the sample


def test_one_truth_a_class_and_equal_features_still_train(make_index, array_source):
    # the two truths and the far boxes look alike: each class is trained on its truth, its only negatives look like it
    index = make_index([([SQUARE], [0], [FAR]), ([SQUARE], [1], [FAR])], 3)
    svm = fit(array_source(index, np.ones((4, 4), np.float32)))
    assert svm.report()["positives"] == [1, 1, 0] and svm.report()["never_fires"] == [2]
    scores = svm.score(torch.ones(1, 4))
    assert torch.isfinite(scores[0, :2]).all() and scores[0, 0] == pytest.approx(float(scores[0, 1]), abs=1e-3)


def test_the_report_names_the_rule_for_negatives(source):
    assert fit(source).report()["ignore"] == "per_class" and fit(source).report()["negative_iou"] == 0.3


def test_a_split_without_any_truth_is_an_error(make_index, array_source):
    index = make_index([([], [], [FAR]), ([], [], [])], 3)
    with pytest.raises(DataError, match="none of the 2 training images has a ground truth"):
        fit(array_source(index, np.ones((1, 4), np.float32)))


def test_evicting_what_is_hard_is_an_error_that_names_both_keys():
    with pytest.raises(ConfigError, match=r"EVICT_BELOW -0.5 is above HARD_MARGIN -1.0001"):
        LinearSVM(num_classes=1, feature_dim=1, evict_below=-0.5)


def test_folds_are_reported_and_change_no_classifier(source):
    # Three quarters of the images still show what tells the classes apart; class 2 has no truth.
    plain, folded = fit(source), fit(source, folds=4)
    assert torch.equal(plain.weight_, folded.weight_) and torch.equal(plain.bias_, folded.bias_)
    assert "held_out" not in plain.report()
    first, second, third = folded.report()["held_out"]
    assert first["truths_found"] == second["truths_found"] == 1.0 and first["negatives_refused"] > 0.9
    assert third == {"truths_found": None, "negatives_refused": None}


def test_a_folds_classifier_is_the_one_of_the_other_images(source):
    # With every negative cached both minimise the same objective, of the images without the fold.
    settings = {"retrain_after": 10**6, "evict_below": -1e9, "hard_margin": -1e8, "tol": 1e-8, "max_iter": 10**5}
    fold = np.arange(12) % 3
    svm = fit(source, target_norm=0.0, **settings)
    others = svm.fit_folds(source, fold, np.random.default_rng(0))
    for number, other in enumerate(others):
        peer = fit(SomeImages(source, np.flatnonzero(fold != number)), target_norm=0.0, **settings)
        assert torch.allclose(other.weight_, peer.weight_, atol=1e-4)
        assert torch.allclose(other.bias_, peer.bias_, atol=1e-4)
        assert not torch.allclose(other.weight_, svm.weight_, atol=1e-4)


def test_a_class_whose_truths_all_lie_in_one_fold_does_not_fire_there(source):
    # even images hold class 0, odd ones class 1; every negative stays cached
    svm = fit(source, evict_below=-1e9, hard_margin=-1e8)
    first, second = svm.fit_folds(source, np.arange(12) % 2, np.random.default_rng(0))
    assert first.bias_.isneginf().tolist() == [True, False, True]
    assert second.bias_.isneginf().tolist() == [False, True, True]


def test_mining_for_folds_starts_from_the_model_that_is_there(source):
    svm = fit(source)
    source.sweeps.clear()
    svm.fit_folds(source, np.arange(12) % 3, np.random.default_rng(0))
    assert source.sweeps == ["take", "blocks", "blocks"]  # the truths, then two passes for all folds together


def test_several_settings_are_fitted_as_if_alone_and_read_the_features_once(source):
    head = LinearHead(torch.rand(4, 4), torch.rand(4))
    settings = (
        {"c": 0.01, "softmax_weight": 0.5},
        {"c": 0.1, "retrain_after": 7, "negative_iou": 0.0},
        {"negatives": "random", "target_norm": 5.0, "folds": 3},
        {"passes": 2, "positive_iou": 0.5, "negative_iou": 0.5, "hard_margin": -0.5},
    )
    new = [LinearSVM(num_classes=3, feature_dim=4, **own) for own in settings]
    LinearSVM.fit_together(new, source, [np.random.default_rng(number) for number in range(4)], head=head)
    assert source.sweeps == ["take", "blocks", "blocks", "take"]  # positives, two passes, random negatives
    for number, (svm, own) in enumerate(zip(new, settings)):
        alone = LinearSVM(num_classes=3, feature_dim=4, **own).fit(source, np.random.default_rng(number), head=head)
        assert all(torch.equal(value, alone.state()[key]) for key, value in svm.state().items())
        assert svm.report() == alone.report()
    assert not torch.equal(new[0].weight_, new[1].weight_)


def test_what_was_held_for_samples_and_positives_is_free_while_mining(source, monkeypatch):
    held = []

    class Noted(HeldRows):
        def __init__(self, *given):
            super().__init__(*given)
            held.append(weakref.ref(self))

    def mine_without(*given, **options):
        gc.collect()
        assert [one() for one in held] == [None]
        mine(*given, **options)

    monkeypatch.setattr(svm_training, "HeldRows", Noted)
    monkeypatch.setattr(svm_training, "mine", mine_without)
    fit(source)
    assert len(held) == 1


def test_a_subclass_that_learns_in_its_own_way_is_fitted_by_its_own_method(source):
    class Fixed(LinearSVM):
        def fit(self, source, rng, *, head=None, progress=None):
            self.bias_ = torch.full((3,), float(rng.integers(100)))
            return self

    both = [Fixed(num_classes=3, feature_dim=4) for _ in range(2)]
    Fixed.fit_together(both, source, [np.random.default_rng(seed) for seed in (1, 2)])
    drawn = [float(np.random.default_rng(seed).integers(100)) for seed in (1, 2)]
    assert [float(svm.bias_[0]) for svm in both] == drawn and not source.sweeps


def test_a_single_fold_is_refused():
    with pytest.raises(ConfigError, match="FOLDS 1 leaves no images to learn from; give 0, or 2 or more"):
        LinearSVM(num_classes=1, feature_dim=1, folds=1)


def test_before_fit_nothing_fires():
    assert (LinearSVM(num_classes=2, feature_dim=3).score(torch.ones(4, 3)) == -torch.inf).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    ("row", "message"), [(12, "a ground truth's features are no numbers"), (14, "image image1 has")]
)
def test_features_that_are_no_numbers_are_refused(source, array_source, value, row, message):
    features = source.take(np.arange(len(source.index))).numpy()
    features[row, 1] = value
    assert (source.index.truth_label[row] >= 0) == (row == 12)
    with pytest.raises(DataError, match=message):
        fit(array_source(source.index, features), target_norm=0.0)


def test_proposals_near_a_truth_become_positives_where_an_overlap_is_given(source):
    # CLOSE has an IoU of .7 with the truth of its image: 6 truths and 6 proposals a class
    assert fit(source, positive_iou=0.7).report()["positives"] == [12, 12, 0]
    assert fit(source, positive_iou=0.71).report()["positives"] == [6, 6, 0]
    assert fit(source, positive_iou=0.7).report()["positive_iou"] == 0.7


def test_positives_by_overlap_give_the_machine_that_learns_from_exactly_these(make_index, array_source, source):
    # the same regions with the close box as a second truth; every negative stays cached
    index = make_index([([SQUARE, CLOSE], [i % 2] * 2, [FAR] * 10) for i in range(12)], 3)
    settings = {"evict_below": -1e9, "hard_margin": -1e8, "retrain_after": 10**6, "tol": 1e-8, "max_iter": 10**5}
    as_truths = fit(array_source(index, source.take(np.arange(len(index)))), target_norm=0.0, **settings)
    by_overlap = fit(source, target_norm=0.0, positive_iou=0.5, **settings)
    assert torch.allclose(by_overlap.weight_, as_truths.weight_, atol=1e-4)
    assert torch.allclose(by_overlap.bias_, as_truths.bias_, atol=1e-4)
    assert not torch.allclose(by_overlap.weight_, fit(source, target_norm=0.0, **settings).weight_, atol=1e-2)


def test_a_folds_classifier_does_not_see_the_positives_of_its_fold(source):
    settings = {"retrain_after": 10**6, "evict_below": -1e9, "hard_margin": -1e8, "tol": 1e-8, "max_iter": 10**5}
    fold = np.arange(12) // 2 % 2
    others = fit(source, positive_iou=0.5, target_norm=0.0, **settings).fit_folds(
        source, fold, np.random.default_rng(0)
    )
    peer = fit(SomeImages(source, np.flatnonzero(fold)), positive_iou=0.5, target_norm=0.0, **settings)
    assert torch.allclose(others[0].weight_, peer.weight_, atol=1e-4)


def test_as_many_random_negatives_are_learnt_as_mining_held(source, monkeypatch):
    learnt = []
    train = HingeSolver.__call__
    monkeypatch.setattr(
        HingeSolver,
        "__call__",
        lambda self, *given: learnt.append((given[0].shape[0], given[1])) or train(self, *given),
    )
    fit(source)
    mined = [count - positives for count, positives in learnt[-2:]]  # classes 0 and 1, at the last image
    report = fit(source, negatives="random").report()
    assert [count - positives for count, positives in learnt[-2:]] == mined
    assert (report["cached_negatives"], report["trainings"]) == ([*mined, 0], [1, 1, 0])
    assert (report["negatives"], report["never_fires"]) == ("random", [2])


def test_random_negatives_are_drawn_from_all_images_and_by_the_generator(source):
    # mining evicts easy negatives, which are all but the other class's; drawn ones are mostly the far boxes
    rows = {}
    for seed in (0, 0, 1):
        svm = fit(source, seed, negatives="random", folds=2)
        rows.setdefault(seed, []).append(svm.weight_)
        assert svm.report()["held_out"][0]["negatives_refused"] > 0.9
    assert torch.equal(*rows[0]) and not torch.equal(rows[0][0], rows[1][0])


def test_where_all_negatives_are_held_random_ones_are_the_same(source):
    settings = {"evict_below": -1e9, "hard_margin": -1e8, "retrain_after": 10**6, "tol": 1e-8, "max_iter": 10**5}
    mined, drawn = (fit(source, negatives=kind, **settings) for kind in ("mined", "random"))
    assert mined.report()["cached_negatives"] == drawn.report()["cached_negatives"] == [132, 132, 0]
    assert torch.allclose(mined.weight_, drawn.weight_, atol=1e-4)


def test_the_papers_examples_are_the_default(source):
    named = fit(source, positive_iou=None, negatives="mined")
    assert torch.equal(fit(source).weight_, named.weight_) and torch.equal(fit(source).bias_, named.bias_)


@pytest.mark.parametrize(
    "settings", [{"negatives": "random"}, {"positive_iou": 0.5, "negative_iou": 0.5}, {"passes": 3}]
)
def test_other_examples_keep_the_contract_too(settings):
    check_component(LinearSVM, **settings)


def test_the_softmax_adds_its_log_odds_to_the_margin(source):
    # Logits 2, 0, 0 and 1 (background): the odds of class 0 are e^2 / (1 + 1 + e), those of class 1 1 / (e^2 + 1 + e).
    head = LinearHead(torch.zeros(4, 4), torch.tensor([2.0, 0, 0, 1]))
    plain = fit(source)
    svm = LinearSVM(num_classes=3, feature_dim=4, c=0.01, softmax_weight=0.5)
    svm.fit(source, np.random.default_rng(0), head=head)
    x = torch.rand(5, 4)
    odds = [2 - np.log(2 + np.e), -np.log(np.e**2 + 1 + np.e)]
    assert torch.equal(svm.margins(x), plain.score(x))
    torch.testing.assert_close(svm.score(x)[:, :2], plain.score(x)[:, :2] + 0.5 * torch.tensor(odds).float())
    assert (svm.score(x)[:, 2] == -torch.inf).all() and svm.linear() is None
    other = LinearSVM(num_classes=3, feature_dim=4, softmax_weight=0.5)
    other.load(svm.state())
    assert torch.equal(other.score(x), svm.score(x))


def test_a_share_of_the_softmax_needs_the_tuned_head(source):
    svm = LinearSVM(num_classes=3, feature_dim=4, softmax_weight=0.5)
    assert svm.needs_head == "class" and not LinearSVM(num_classes=3, feature_dim=4).needs_head
    with pytest.raises(ConfigError, match=r"LinearSVM with SOFTMAX_WEIGHT.*give SOFTMAX_WEIGHT 0"):
        svm.fit(source, np.random.default_rng(0))
