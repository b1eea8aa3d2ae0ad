"""Progress of long loops, on a terminal and in a log."""

from __future__ import annotations

import sys
import time
from typing import Protocol, TextIO

from tqdm import tqdm
from typing_extensions import Self

FIRST_LINE, LINE_EVERY = 5.0, 30.0
"""Seconds until the first line, and between lines."""
SHORTEST = 1.0
"""Seconds of a loop that gets no bar."""


class Progress(Protocol):
    """The progress of a loop, counted in units."""

    def update(self, count: int = 1) -> None:
        """Adds ``count`` finished units."""

    def note(self, text: str) -> None:
        """Sets a text to show after the numbers, such as a loss."""

    def close(self) -> None:
        """The loop has ended."""

    def __enter__(self) -> Self:
        """The progress itself. It is closed when the block ends, by an error too; its text then has its own line."""

    def __exit__(self, *error: object) -> None:
        """Closes."""


class _Closing:
    """Closes where the block is left."""

    def close(self) -> None:
        """The loop has ended."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class LineProgress(_Closing):
    """Progress as a line from time to time, for output that is no terminal: done of total, rate, time left."""

    def __init__(self, label: str, total: int, unit: str, done: int = 0, stream: TextIO | None = None) -> None:
        self.label, self.total, self.unit = label, total, unit
        self.done = self.first = done
        self.stream = stream or sys.stderr
        self.noted = ""
        self.start = time.monotonic()
        self.next = self.start + FIRST_LINE

    def update(self, count: int = 1) -> None:
        """Adds ``count`` finished units, and prints a line if it is time."""
        self.done += count
        now = time.monotonic()
        if now >= self.next:
            self.next = now + LINE_EVERY
            rate = (self.done - self.first) / (now - self.start)
            left = f"{(self.total - self.done) / rate:.0f} s" if rate else "unknown time"
            self._print(f"{self.done}/{self.total} {self.unit}, {rate:.1f} {self.unit}/s, {left} left")

    def note(self, text: str) -> None:
        """Sets a text to show with the next line."""
        self.noted = text

    def close(self) -> None:
        """Prints a last line if it has printed any line before."""
        if self.next > self.start + FIRST_LINE:
            self._print(f"{self.done}/{self.total} {self.unit} done")

    def _print(self, text: str) -> None:
        print(f"{self.label}: {text}{', ' if self.noted else ''}{self.noted}", file=self.stream, flush=True)


class NoProgress(_Closing):
    """Shows nothing."""

    def update(self, count: int = 1) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""


class BarProgress(tqdm):
    """A bar on a terminal."""

    def note(self, text: str) -> None:
        """Sets a text to show when the bar is drawn next."""
        self.set_postfix_str(text, refresh=False)


def progress(label: str, total: int, unit: str, done: int = 0, *, shown: bool = True) -> Progress:
    """A bar on a terminal, lines elsewhere, both on standard error; nothing if ``shown`` is False."""
    if not shown:
        return NoProgress()
    if sys.stderr.isatty():
        return BarProgress(total=total, initial=done, desc=label, unit=unit, dynamic_ncols=True, delay=SHORTEST)
    return LineProgress(label, total, unit, done)
