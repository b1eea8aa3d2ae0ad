import numpy as np
import pytest
import torch

from detkit.classifiers.mining import Miner, Mining, MiningRules, mine
from detkit.classifiers.row_pool import RowPool

FAR = [50, 50, 60, 60]
RULES = MiningRules(retrain_after=2, hard_margin=-1.0, evict_below=-1.5)


class Script:
    """A trainer that gives weight 1 and the next of the given biases, and notes the examples of each training."""

    def __init__(self, *biases):
        self.biases, self.seen = list(biases), []

    def __call__(self, examples, num_positives):
        self.seen.append((examples[:num_positives, 0].tolist(), examples[num_positives:, 0].tolist()))
        return np.ones(1), self.biases.pop(0), float(len(examples))


def column(*values):
    return torch.tensor(values, dtype=torch.float32)[:, None]


def run(make_index, array_source, images, miners, passes=1, progress=None):
    """Mines images that are given as lists of one-dimensional features, all of them negatives."""
    index = make_index([([], [], [FAR] * len(values)) for values in images], 1)
    source = array_source(index, np.array([[x] for values in images for x in values]).reshape(-1, 1))
    every = [torch.ones(len(values), len(miners), dtype=torch.bool) for values in images]
    mine(source, [Mining(miners, every.__getitem__, passes)], progress=progress)


def test_one_pass_replayed_by_hand(make_index, array_source):
    images = [[-3.0, 0.0], [2.0, 0.5], [], [1.5, -2.0], [5.0], [-9.0]]
    train = Script(-2.0, -2.25, -2.5)
    miner = Miner(column(7.0), train, rules=RULES)
    run(make_index, array_source, images, [miner])
    # image 0: no model, all of -3, 0 are taken and trained on; bias -2, margins -5 and -2, both below -1.5: evicted
    # image 1: margins 0 and -1.5: 2 is hard. image 3: margins -.5, -4: 1.5 is hard; two added, not more than two
    # image 4: margin 3: hard, the third; trained: margins -.25, -.75, 2.75 stay
    # image 5: margin -11.25: easy, but the last image trains: 2 -> -.5, 1.5 -> -1, 5 -> 2.5 stay
    assert train.seen == [([7], [-3, 0]), ([7], [2, 1.5, 5]), ([7], [2, 1.5, 5])]
    assert miner.rows.tolist() == [2, 4, 6]
    assert miner.bias == -2.5 and miner.objectives == [3, 4, 4]
    assert miner.num_negatives == [2, 3, 3] and miner.margins.tolist() == [-0.5, -1, 2.5]


def test_margins_at_the_limits_are_neither_hard_nor_evicted(make_index, array_source):
    # bias 0: the second image's -1 is not above the hard margin; the first image's -1.5 is not below the eviction's
    train = Script(0.0, 0.0)
    miner = Miner(column(1.0), train, rules=RULES)
    run(make_index, array_source, [[-1.5, -1.625], [-1.0, -0.875]], [miner])
    assert train.seen[1][1] == [-1.5, -0.875]


def test_the_last_image_trains_once_even_when_enough_was_gathered(make_index, array_source):
    train = Script(0.0, 0.0)
    run(make_index, array_source, [[0.0], [1.0, 2.0, 3.0]], [Miner(column(1.0), train, rules=RULES)])
    assert len(train.seen) == 2


def test_a_single_image_trains_once(make_index, array_source):
    train = Script(0.0)
    run(make_index, array_source, [[1.0, 2.0]], [Miner(column(1.0), train, rules=RULES)])
    assert train.seen == [([1], [1, 2])]


def test_later_passes_do_not_cache_a_row_twice(make_index, array_source):
    # the first image's three, added again, would be more than two: trained at once in later passes, too
    train = Script(0.0, 0.0, 0.0, 0.0)
    miner = Miner(column(1.0), train, rules=RULES)
    run(make_index, array_source, [[1.0, 2.0, 4.0], [3.0]], [miner], passes=3)
    assert miner.rows.tolist() == [0, 1, 2, 3] and len(train.seen) == 4


def test_without_positives_or_negatives_nothing_is_trained(make_index, array_source):
    miners = [Miner(torch.zeros(0, 1), Script(), rules=RULES), Miner(column(1.0), Script(), rules=RULES)]
    index = make_index([([], [], [FAR] * 2)], 1)
    mining = Mining(miners, lambda i: torch.tensor([[True, False]] * 2))
    mine(array_source(index, np.ones((2, 1))), [mining])
    assert all(m.objectives == [] and m.bias == -float("inf") for m in miners)


def test_no_images_are_legal(make_index, array_source):
    miner = Miner(column(1.0), Script(), rules=RULES)
    run(make_index, array_source, [], [miner])
    assert miner.objectives == []


def test_miners_of_one_pass_do_not_see_each_other(make_index, array_source):
    images = [[-3.0, 0.0], [2.0, 0.5], [1.5, -2.0], [5.0]]
    together = [
        Miner(column(7.0), Script(-2.0, -2.5), rules=RULES),
        Miner(column(1.0), Script(0.0, 1.0, 0.5), scale=2.0),
    ]
    run(make_index, array_source, images, together)
    alone = Miner(column(7.0), Script(-2.0, -2.5), rules=RULES)
    run(make_index, array_source, images, [alone])
    assert together[0].rows.tolist() == alone.rows.tolist() and together[0].bias == alone.bias


def test_miners_share_the_features_of_what_they_cache(make_index, array_source):
    # rows 0 to 3 hold 3, 0, 2, -9. First image: both take rows 0 and 1; biases -2 and 0 keep row 0, and rows 0 and 1.
    # Second image: 2 is hard for both, -9 for none; both train again and keep what they have, 2 included.
    pool, trains = RowPool(), [Script(-2.0, -2.0), Script(0.0, 0.0)]
    miners = [Miner(column(7.0), train, rules=RULES, pool=pool) for train in trains]
    run(make_index, array_source, [[3.0, 0.0], [2.0, -9.0]], miners)
    assert [m.rows.tolist() for m in miners] == [[0, 2], [0, 1, 2]]
    assert [train.seen[1][1] for train in trains] == [[3, 2], [3, 0, 2]]
    assert len(pool) == 3


def test_the_scale_enters_training_and_margins(make_index, array_source):
    # scale 2, bias -3: the second image's 1 has margin 2 - 3 = -1, its 1.25 has -.5; without the scale neither is hard
    train = Script(-3.0, 0.0)
    miner = Miner(column(4.0), train, scale=2.0, rules=RULES)
    run(make_index, array_source, [[0.75], [1.0, 1.25]], [miner])
    assert train.seen == [([8], [1.5]), ([8], [1.5, 2.5])]


def test_progress_is_told_of_each_image_of_each_pass(make_index, array_source):
    class Counter:
        count = 0

        def update(self, count=1):
            self.count += count

    counter = Counter()
    miner = Miner(column(1.0), Script(0.0, 0.0, 0.0), rules=RULES)
    run(make_index, array_source, [[1.0], [2.0]], [miner], passes=2, progress=counter)
    assert counter.count == 4


@pytest.mark.parametrize("values", [[0.1], [1 / 3, 1000.1]])
def test_the_cache_loses_nothing_of_what_sources_give(make_index, array_source, values):
    train = Script(0.0)
    miner = Miner(column(1.0), train, rules=RULES)
    run(make_index, array_source, [values], [miner])
    assert train.seen[0][1] == np.array(values).astype(np.float16).astype(np.float64).tolist()


def test_given_negatives_are_learnt_whatever_their_margins(make_index, array_source):
    # bias -2: -3 and 0 have margins of -5 and -2 and are evicted after the training; -1 for ever is not
    train = Script(-2.0)
    miner = Miner(column(7.0), train, rules=RULES)
    miner.learn(np.array([4, 9]), column(-3.0, 0.0))
    assert train.seen == [([7], [-3, 0])] and (miner.num_learnt, len(miner.rows)) == (2, 0)
    kept = Miner(column(7.0), Script(-2.0), rules=MiningRules(evict_below=-float("inf")))
    kept.learn(np.array([4, 9]), column(-3.0, 0.0))
    assert (kept.rows.tolist(), kept.bias) == ([4, 9], -2)


def test_without_positives_or_negatives_nothing_given_is_learnt():
    for positives, rows in ((torch.zeros(0, 1), [4]), (column(1.0), [])):
        miner = Miner(positives, Script(), rules=RULES)
        miner.learn(np.array(rows, np.int64), torch.ones(len(rows), 1))
        assert (miner.objectives, miner.num_learnt) == ([], 0)


def test_a_miner_tells_how_many_negatives_its_last_training_learnt_from(make_index, array_source):
    # as replayed by hand above: two, three and three of them, of which three are left
    miner = Miner(column(7.0), Script(-2.0, -2.25, -2.5), rules=RULES)
    run(make_index, array_source, [[-3.0, 0.0], [2.0, 0.5], [], [1.5, -2.0], [5.0], [-9.0]], [miner])
    assert miner.num_learnt == 3
