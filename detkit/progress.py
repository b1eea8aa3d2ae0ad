"""Progress of long loops, on a terminal and in a log."""

from __future__ import annotations

import sys
import time
from typing import Protocol, TextIO

from tqdm import tqdm


class Progress(Protocol):
    """Is told of each unit that was done."""

    def update(self, count: int = 1) -> None:
        """``count`` more units are done."""

    def close(self) -> None:
        """The loop has ended."""


class LineProgress:
    """A line now and then, for output that is no terminal: done of total, rate, time left."""

    def __init__(self, label: str, total: int, unit: str, done: int = 0, stream: TextIO | None = None) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.done = self.first = done
        self.stream = stream or sys.stderr
        self.start = self.last = time.monotonic()

    def update(self, count: int = 1) -> None:
        """Prints where the last line is half a minute old."""
        self.done += count
        now = time.monotonic()
        if now - self.last >= 30:
            self.last = now
            rate = (self.done - self.first) / (now - self.start)
            left = (self.total - self.done) / rate if rate else float("inf")
            print(
                f"{self.label}: {self.done}/{self.total} {self.unit}, {rate:.1f} {self.unit}/s, {left:.0f} s left",
                file=self.stream,
                flush=True,
            )

    def close(self) -> None:
        """Prints the total when any line was printed before."""
        if self.last != self.start:
            print(f"{self.label}: {self.done}/{self.total} {self.unit} done", file=self.stream, flush=True)


class NoProgress:
    """Shows nothing."""

    def update(self, count: int = 1) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def progress(label: str, total: int, unit: str, done: int = 0, *, shown: bool = True) -> Progress:
    """A bar on a terminal, lines elsewhere, both on standard error; nothing where it is not to be shown."""
    if not shown:
        return NoProgress()
    if sys.stderr.isatty():
        return tqdm(total=total, initial=done, desc=label, unit=unit, dynamic_ncols=True)
    return LineProgress(label, total, unit, done)
