import numpy as np
import pytest

from detkit.classifiers.hinge import HingeLoss, HingeSolver

PAPER = HingeLoss(c=1e-3, positive_weight=2.0, bias_scale=10.0)


def test_objective_by_hand():
    # margins 2*1+1 = 3 (no loss), 2*-.5+1 = 0 (positive, loss 1), 2*-1+1 = -1 (no loss), 2*1+1 = 3 (negative, loss 4)
    examples = np.array([[1.0], [-0.5], [-1.0], [1.0]])
    value = HingeLoss(c=0.1, positive_weight=3.0, bias_scale=2.0).objective(np.array([2.0]), 1.0, examples, 2)
    assert value == pytest.approx(4 / 2 + 0.25 / 2 + 0.1 * (3 * 1 + 4))


def test_two_opposite_points_give_the_widest_margin():
    # +-2 with plenty of loss: w = 1/2, b = 0, no loss left, |w|^2 / 2 = 1/8
    weight, bias, objective = HingeSolver(HingeLoss(100, 1, 1), tol=1e-8)(np.array([[2.0], [-2.0]]), 1)
    np.testing.assert_allclose([weight[0], bias, objective], [0.5, 0, 0.125], atol=1e-6)


def test_no_small_step_lowers_the_objective():
    rng = np.random.default_rng(0)
    examples = rng.normal(size=(80, 4)) * 10
    weight, bias, objective = HingeSolver(PAPER, tol=1e-8)(examples, 20)
    for step in rng.normal(size=(200, 5)) * 1e-3:
        assert PAPER.objective(weight + step[:4], bias + step[4], examples, 20) > objective


def test_one_example_of_each_kind_is_enough():
    weight, _, _ = HingeSolver(PAPER)(np.array([[20.0, 0.0], [0.0, 20.0]]), 1)
    assert weight[0] > 0 > weight[1]


def test_calls_that_hit_the_iteration_limit_are_counted():
    examples = np.random.default_rng(1).normal(size=(200, 20)) * 50
    solver = HingeSolver(PAPER, tol=1e-12, max_iter=1)
    solver(examples, 50)
    solver(examples, 50)
    assert solver.unconverged == 2


def test_the_seed_decides_the_result_bit_by_bit():
    examples = np.random.default_rng(2).normal(size=(100, 6)) * 10
    first, again = (HingeSolver(PAPER, seed=4)(examples, 30) for _ in range(2))
    assert np.array_equal(first[0], again[0]) and first[1:] == again[1:]
