import numpy as np
import pytest
import torch

from detkit.classifiers.folds import held_out, image_folds
from detkit.classifiers.mining import Miner, MiningRules


class Threshold:
    """A trainer whose model says x - (the mean of what it was shown), and notes that."""

    def __init__(self):
        self.seen = []

    def __call__(self, examples, num_positives):
        self.seen.append((examples[:num_positives, 0].tolist(), examples[num_positives:, 0].tolist()))
        return np.ones(1), -float(examples.mean()), 0.0


def mined(positives, negatives):
    """A miner that has cached all of the negatives."""
    keep_all = MiningRules(evict_below=-1e9)
    miner = Miner(torch.tensor(positives).reshape(-1, 1), Threshold(), rules=keep_all)
    if negatives:
        rows = np.arange(len(negatives))
        miner.see(0, torch.tensor(negatives)[:, None], rows, np.zeros(len(negatives)))
    return miner


@pytest.mark.parametrize(("images", "folds"), [(10, 3), (4, 2), (2, 5), (0, 2)])
def test_folds_hold_equally_many_images_and_every_image_once(images, folds):
    fold = image_folds(images, folds, np.random.default_rng(0))
    sizes = np.bincount(fold, minlength=folds)
    assert len(fold) == images and sizes.max() - sizes.min() <= 1


def test_folds_are_drawn():
    first, other = (image_folds(20, 2, np.random.default_rng(seed)).tolist() for seed in (0, 1))
    assert first != other != sorted(other)


def test_examples_are_judged_by_the_model_that_has_not_seen_their_fold():
    miner = mined([8.0, 2.0], [1.0, 4.0])
    miner.train.seen.clear()
    found = held_out(miner, np.array([0, 1, 0, 1]))
    # without fold 0: 2 and 4, mean 3: margins 8 - 3 > 0 (found), 1 - 3 < 0 (refused)
    # without fold 1: 8 and 1, mean 4.5: margins 2 - 4.5 (missed), 4 - 4.5 (refused)
    assert miner.train.seen == [([2], [4]), ([8], [1])]
    assert found == {"truths_found": 0.5, "negatives_refused": 1.0}


def test_a_fold_whose_rest_lacks_a_kind_is_left_out():
    # without fold 0 there is no positive; without fold 1 the model knows 8 and 1, which refuses 4
    miner = mined([8.0], [1.0, 4.0])
    assert held_out(miner, np.array([0, 0, 1])) == {"truths_found": None, "negatives_refused": 1.0}


def test_without_examples_nothing_is_told():
    assert held_out(mined([], []), np.zeros(0, int)) == {"truths_found": None, "negatives_refused": None}
