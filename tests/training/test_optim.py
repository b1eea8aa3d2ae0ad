import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.sgd import sgd

from detkit.training.optim import CaffeSGD, ParameterRule, caffe_rules, step_lr


def scalar(value):
    return nn.Parameter(torch.tensor([value], dtype=torch.float64))


def descend(parameter, sgd, rates, curvature=2.0):
    """The parameter after each step on curvature / 2 * w^2."""
    path = []
    for lr in rates:
        (curvature / 2 * parameter**2).sum().backward()
        sgd.step(lr)
        path.append(parameter.item())
    return path


def test_two_steps_by_hand():
    # w=1, gradient 2, decay 0.5: move 2.5; v = 0.1 * 2.5 = 0.25; w = 0.75
    # gradient 1.5, decay 0.375: 1.875; v = 0.9 * 0.25 + 0.1875 = 0.4125; w = 0.3375
    w = scalar(1.0)
    sgd = CaffeSGD({"w": ParameterRule(w)}, momentum=0.9, weight_decay=0.5)
    assert descend(w, sgd, [0.1, 0.1]) == pytest.approx([0.75, 0.3375], abs=1e-15)


def test_a_quadratic_with_a_drop_of_the_rate_follows_the_closed_form():
    # In (w, v) a step on a quadratic is linear: v' = m v + lr a w, w' = w - v'. Its matrix powers are the path.
    rates, m, a = [0.05] * 30 + [0.005] * 30, 0.9, 2.0 + 0.01
    w = scalar(1.0)
    path = descend(w, CaffeSGD({"w": ParameterRule(w)}, momentum=m, weight_decay=0.01), rates)

    def closed(steps):
        def power(lr, n):
            matrix = np.array([[1 - lr * a, -m], [lr * a, m]])
            values, vectors = np.linalg.eig(matrix)
            return (vectors * values**n) @ np.linalg.inv(vectors)

        first, second = min(steps, 30), max(steps - 30, 0)
        return (power(0.005, second) @ power(0.05, first) @ [1.0, 0.0])[0].real

    assert np.abs(np.array(path) - [closed(t + 1) for t in range(60)]).max() < 1e-12


def paths_of_both(rates):
    """Ours and that of torch.optim.SGD's own function (making the class imports the compiler, for seconds)."""
    ours, theirs = scalar(1.0), scalar(1.0).detach()
    mine = descend(ours, CaffeSGD({"w": ParameterRule(ours)}, momentum=0.9, weight_decay=0.01), rates)
    options = {"weight_decay": 0.01, "momentum": 0.9, "dampening": 0.0, "nesterov": False, "maximize": False}
    path, buffers = [], [None]
    for lr in rates:
        sgd([theirs], [2 * theirs], buffers, foreach=False, fused=False, lr=lr, **options)
        path.append(theirs.item())
    return np.array(mine), np.array(path)


def test_torch_agrees_while_the_rate_is_constant():
    mine, theirs = paths_of_both([0.05] * 40)
    assert np.abs(mine - theirs).max() < 1e-12


def test_torch_differs_right_after_a_drop():
    mine, theirs = paths_of_both([0.05] * 5 + [0.005])
    assert np.abs(mine[:5] - theirs[:5]).max() < 1e-12
    assert abs(mine[5] - theirs[5]) > 0.01


def test_rules_give_biases_twice_the_rate_without_decay_and_the_head_ten_times():
    net = nn.ModuleDict({"backbone": nn.Linear(2, 3), "head": nn.Linear(3, 2), "headless": nn.Linear(1, 1)})
    rules = caffe_rules(net, head="head", head_lr_factor=10.0)
    assert {name: (r.lr_factor, r.decay_factor) for name, r in rules.items()} == {
        "backbone.weight": (1.0, 1.0),
        "backbone.bias": (2.0, 0.0),
        "head.weight": (10.0, 1.0),
        "head.bias": (20.0, 0.0),
        "headless.weight": (1.0, 1.0),
        "headless.bias": (2.0, 0.0),
    }


def test_frozen_parameters_have_no_rule():
    net = nn.Linear(2, 2)
    net.weight.requires_grad_(False)
    assert list(caffe_rules(net, head="head")) == ["bias"]


def test_factors_multiply_rate_and_decay():
    # gradient 2, no decay: v = 0.1 * 20 * 2 = 4
    w = scalar(1.0)
    assert descend(w, CaffeSGD({"w": ParameterRule(w, 20.0, 0.0)}, weight_decay=0.5), [0.1]) == [-3.0]


def test_a_parameter_without_gradient_stays_and_a_gradient_is_used_once():
    w, unused = scalar(1.0), scalar(5.0)
    sgd = CaffeSGD({"w": ParameterRule(w), "unused": ParameterRule(unused)}, weight_decay=0.5)
    descend(w, sgd, [0.1])
    sgd.step(0.1)
    assert unused.item() == 5.0
    assert w.grad is None
    assert w.item() == 0.75


@pytest.mark.parametrize(
    ("iteration", "expected"),
    [(0, 1e-3), (19_999, 1e-3), (20_000, 1e-4), (59_999, 1e-5), (60_000, 1e-6), (69_999, 1e-6)],
)
def test_rate_of_the_paper_drops_every_20000_steps(iteration, expected):
    assert math.isclose(step_lr(0.001, iteration, every=20_000, gamma=0.1), expected, rel_tol=1e-12)


class Twins:
    """Two processes, of which the other has the same gradients."""

    size = 2

    def add_up(self, tensors):
        for tensor in tensors:
            tensor.mul_(2)


def test_gradients_of_all_processes_are_added_up_and_unused_parameters_stay_unused():
    used, unused = scalar(1.0), scalar(1.0)
    sgd = CaffeSGD({"used": ParameterRule(used), "unused": ParameterRule(unused)}, momentum=0.0, weight_decay=0.5)
    used.grad = torch.tensor([3.0], dtype=torch.float64)
    sgd.add_up_gradients(Twins())
    assert used.grad.tolist() == [6.0]
    assert unused.grad is None


def test_a_process_without_a_part_of_the_batch_takes_the_gradients_of_the_others():
    class Other(Twins):
        def add_up(self, tensors):
            for tensor in tensors:
                tensor.add_(1)

    w = scalar(1.0)
    sgd = CaffeSGD({"w": ParameterRule(w)})
    sgd.add_up_gradients(Other())
    assert w.grad.tolist() == [1.0]
