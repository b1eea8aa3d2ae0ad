"""How Ctrl-C and SIGTERM end a command, from its first import on."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from detkit.system.processes import is_first_process

INTERRUPTED = 130


@contextmanager
def interruptible() -> Iterator[None]:
    """A block that SIGTERM ends like Ctrl-C, by KeyboardInterrupt: workers end, locks are freed, files stay whole.

    A signal that the process ignores from its start, as under ``nohup``, stays ignored.
    """
    numbers = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, _interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raises, but not in the middle of an import: libraries swallow that, or print it and raise something else.

    There the process ends at once, which a run survives as it does SIGKILL.
    """
    while frame is not None:
        if "importlib._bootstrap" in frame.f_code.co_filename:
            os._exit(interrupted())
        frame = frame.f_back
    raise KeyboardInterrupt


def interrupted() -> int:
    """Prints that a command was interrupted before it began, and returns the exit code."""
    if is_first_process():
        os.write(2, b"\ndetkit: interrupted\n")
    return INTERRUPTED
