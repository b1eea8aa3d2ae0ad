"""Hooks around the steps of a training loop."""

from __future__ import annotations

import json
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TextIO

from detkit.errors import DetkitError
from detkit.progress import Progress, progress
from detkit.system.files import replacing
from detkit.training.trainer import Hook, Metrics

SHOWN_STEPS = 20
"""Steps whose mean loss and accuracy the progress line shows; one step's jump about."""


class FiniteLoss(Hook):
    """Stops at a loss that is nan or infinite. Put it before ``Checkpoint``, so that no broken state is saved.

    Args:
        label: what is trained, for the message.
        image_ids: the images of the last step.
        advice: what the user can do, for the message.
    """

    def __init__(self, label: str, image_ids: Callable[[], Sequence[str]], advice: str) -> None:
        self.label, self.image_ids, self.advice = label, image_ids, advice

    def after_step(self, iteration: int, metrics: Metrics) -> None:
        """Raises DetkitError, which names the iteration and its images, if the loss is nan or infinite."""
        if math.isfinite(metrics["loss"]):
            return
        raise DetkitError(
            f"{self.label}: the loss at iteration {iteration} is {metrics['loss']} "
            f"(images {some_of(self.image_ids())}); {self.advice}"
        )


def some_of(image_ids: Sequence[str]) -> str:
    """The first eight images, for a message, and how many more there are."""
    return ", ".join(image_ids[:8]) + (f" and {len(image_ids) - 8} more" if len(image_ids) > 8 else "")


class Checkpoint(Hook):
    """Saves the state at regular intervals and after the last iteration.

    Args:
        save: saves the state; gets the number of finished iterations.
        every: iterations between two calls.
    """

    def __init__(self, save: Callable[[int], None], every: int) -> None:
        self.save, self.every = save, every

    def before_run(self, start: int, stop: int) -> None:
        """Remembers the last iteration."""
        self.stop = stop

    def after_step(self, iteration: int, metrics: Metrics) -> None:
        """Saves if it is time."""
        done = iteration + 1
        if done % self.every == 0 or done == self.stop:
            self.save(done)


class MetricsWriter(Hook):
    """Appends a line of JSON at regular intervals and after the last iteration.

    A line holds ``iteration`` (the number of finished iterations), the mean of each number since the previous line, and
    ``seconds`` per iteration. A resumed run first drops the lines of iterations that it runs again.

    Args:
        path: a .jsonl file; its folder is created.
        every: iterations between two lines.
        also_every: writes a line at multiples of this, too, so that a number that comes only then gets its own line; 0
            adds none.
    """

    def __init__(self, path: Path, every: int = 20, *, also_every: int = 0) -> None:
        self.path, self.rhythms = path, [n for n in (every, also_every) if n]
        self.file: TextIO | None = None

    def before_run(self, start: int, stop: int) -> None:
        """Drops lines of iterations that run again, and opens the file to append."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kept = self.path.read_text().splitlines(keepends=True) if self.path.is_file() else []
        with replacing(self.path) as partial:
            partial.write_text("".join(line for line in kept if _is_before(line, start)))
        self.file = self.path.open("a")
        self.stop, self.time = stop, time.monotonic()
        self.since: list[Metrics] = []

    def after_step(self, iteration: int, metrics: Metrics) -> None:
        """Writes a line if it is time."""
        self.since.append(metrics)
        done = iteration + 1
        if done != self.stop and all(done % every for every in self.rhythms):
            return
        now = time.monotonic()
        line: dict[str, float] = {"iteration": done}
        line.update((name, float(f"{mean:.6g}")) for name, mean in _means(self.since).items())
        line["seconds"] = round((now - self.time) / len(self.since), 4)
        assert self.file is not None
        self.file.write(json.dumps(line) + "\n")
        self.file.flush()
        self.since, self.time = [], now

    def after_run(self) -> None:
        """Closes the file."""
        if self.file is not None:
            self.file.close()
            self.file = None


class ProgressHook(Hook):
    """Shows the progress of the loop, and its loss and accuracies as means over the last steps.

    Args:
        label: name of the loop.
        unit: name of an iteration.
    """

    def __init__(self, label: str, unit: str = "steps") -> None:
        self.label, self.unit = label, unit
        self.bar: Progress | None = None

    def before_run(self, start: int, stop: int) -> None:
        """Starts the bar."""
        self.bar = progress(self.label, stop, self.unit, start)
        self.last: deque[Metrics] = deque(maxlen=SHOWN_STEPS)

    def after_step(self, iteration: int, metrics: Metrics) -> None:
        """Moves the bar."""
        assert self.bar is not None
        self.last.append({name: value for name, value in metrics.items() if name != "lr"})
        self.bar.note(", ".join(f"{name.replace('_', ' ')} {mean:.3g}" for name, mean in _means(self.last).items()))
        self.bar.update()

    def after_run(self) -> None:
        """Ends the bar."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None


def _means(steps: Iterable[Metrics]) -> dict[str, float]:
    """The mean of each number over the steps that have it, in the order in which they first came."""
    values: dict[str, list[float]] = {}
    for metrics in steps:
        for name, value in metrics.items():
            values.setdefault(name, []).append(value)
    return {name: math.fsum(own) / len(own) for name, own in values.items()}


def _is_before(line: str, start: int) -> bool:
    """Whether a line tells of iterations that a run from ``start`` does not repeat; a torn last line does not."""
    try:
        return bool(json.loads(line)["iteration"] <= start)
    except (ValueError, KeyError, TypeError):
        return False
