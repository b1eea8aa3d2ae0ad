"""Stochastic gradient descent by Caffe's rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from detkit.system.world import World


@dataclass(frozen=True, eq=False)
class ParameterRule:
    """How one parameter is trained.

    Args:
        parameter: the parameter, changed in place.
        lr_factor: factor on the learning rate.
        decay_factor: factor on the weight decay.
    """

    parameter: nn.Parameter
    lr_factor: float = 1.0
    decay_factor: float = 1.0


def caffe_rules(
    module: nn.Module, *, head: str, head_lr_factor: float = 1.0, bias_lr_factor: float = 2.0
) -> dict[str, ParameterRule]:
    """The rules of all parameters that are trained (``requires_grad``), by name.

    Biases have ``bias_lr_factor`` times the learning rate and do not decay. Parameters under ``head`` have
    ``head_lr_factor`` times the rate, and biases there have both factors.
    Source: CaffeNet's and R-CNN's solver and network definitions.
    """
    rules = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            is_bias = name.rpartition(".")[2] == "bias"
            lr_factor = (bias_lr_factor if is_bias else 1.0) * (head_lr_factor if name.startswith(f"{head}.") else 1.0)
            rules[name] = ParameterRule(parameter, lr_factor, 0.0 if is_bias else 1.0)
    return rules


class CaffeSGD:
    """v = momentum * v + lr * (gradient + decay * w); w = w - v.

    torch.optim.SGD keeps the learning rate outside v. The two agree while the rate is constant. After a drop, this
    class still moves with the momentum of the old rate for some steps.
    Source: Caffe, SGDSolver.

    Args:
        rules: the parameters by name.
        momentum: share of the last move that is repeated.
        weight_decay: weight of half the squared norm in the objective.

    Attributes:
        velocity: the last move of each parameter, by its name.
    """

    def __init__(
        self, rules: Mapping[str, ParameterRule], *, momentum: float = 0.9, weight_decay: float = 0.0005
    ) -> None:
        self.rules, self.momentum, self.weight_decay = dict(rules), momentum, weight_decay
        self.velocity: dict[str, Tensor] = {name: torch.zeros_like(r.parameter) for name, r in self.rules.items()}

    def add_up_gradients(self, world: World) -> None:
        """Gives every process the sum of all processes' gradients. A gradient that no process has stays None."""
        if world.size == 1:
            return
        parameters = [rule.parameter for rule in self.rules.values()]
        has_gradient = torch.tensor([p.grad is not None for p in parameters], dtype=torch.int32)
        world.add_up([has_gradient])
        learnt = [p for p, processes in zip(parameters, has_gradient.tolist(), strict=True) if processes]
        for p in learnt:
            p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        world.add_up(p.grad for p in learnt if p.grad is not None)

    @torch.no_grad()
    def step(self, lr: float) -> None:
        """Moves every parameter that has a gradient and clears the gradients."""
        for name, rule in self.rules.items():
            w, v = rule.parameter, self.velocity[name]
            if w.grad is None:
                continue
            move = w.grad.add_(w, alpha=self.weight_decay * rule.decay_factor)
            w.sub_(v.mul_(self.momentum).add_(move, alpha=lr * rule.lr_factor))
            w.grad = None


def step_lr(lr: float, iteration: int, *, every: int, gamma: float) -> float:
    """The learning rate of an iteration (from 0): ``lr``, multiplied by ``gamma`` after each ``every`` iterations."""
    return lr * gamma ** (iteration // every)
