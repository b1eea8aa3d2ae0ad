"""A short training loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

Metrics = Mapping[str, float]


class Hook:
    """A hook around the steps of a loop. A subclass overrides the methods that it needs."""

    def before_run(self, start: int, stop: int) -> None:
        """Called before the iterations start..stop-1 run."""

    def after_step(self, iteration: int, metrics: Metrics) -> None:
        """Called after each iteration, with its numbers."""

    def after_run(self) -> None:
        """Called when the loop ends, by an exception, too."""


class Trainer:
    """Runs a step again and again.

    Args:
        step: runs one iteration (counted from 0) and returns its numbers.
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
