"""A short training loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

Metrics = Mapping[str, float]


class Hook:
    """Is called around the steps of a loop; a subclass overrides what it needs."""

    def before_run(self, start: int, stop: int) -> None:
        """The iterations start..stop-1 are about to run."""

    def after_step(self, iteration: int, metrics: Metrics) -> None:
        """One iteration has run and gave these numbers."""

    def after_run(self) -> None:
        """The loop is left, by its end or by an exception."""


class Trainer:
    """Runs a step again and again.

    Args:
        step: does one iteration (counted from 0) and gives its numbers.
        hooks: called in this order.
    """

    def __init__(self, step: Callable[[int], Metrics], hooks: Sequence[Hook] = ()) -> None:
        self.step, self.hooks = step, list(hooks)

    def run(self, start: int, stop: int) -> None:
        """Runs the iterations start..stop-1."""
        try:
            for hook in self.hooks:
                hook.before_run(start, stop)
            for iteration in range(start, stop):
                metrics = self.step(iteration)
                for hook in self.hooks:
                    hook.after_step(iteration, metrics)
        finally:
            for hook in self.hooks:
                hook.after_run()
