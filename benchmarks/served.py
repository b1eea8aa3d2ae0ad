"""Actions that run in processes of their own, whenever they are asked to."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence

Served = subprocess.Popen[str]


def start(file: str, *words: object) -> Served:
    """Runs a Python file that calls ``serve``; back when it has done its action once.

    Args:
        file: the Python file.
        words: its arguments.
    """
    command = [sys.executable, file, *map(str, words)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    _wait(process)
    return process


def once(processes: Sequence[Served]) -> float:
    """Seconds until all of them have done it once more, all at the same time."""
    begin = time.perf_counter()
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        _wait(process)
    return time.perf_counter() - begin


def end(processes: Sequence[Served]) -> None:
    """Ends them."""
    for process in processes:
        process.communicate()


def serve(action: Callable[[], object]) -> None:
    """In such a process: does the action once, and once more for each line of standard input."""
    action()
    print("ready", flush=True)
    for _ in sys.stdin:
        action()
        print("done", flush=True)


def _wait(process: Served) -> None:
    assert process.stdout is not None
    if not process.stdout.readline():
        raise RuntimeError(f"a process of the benchmark ended with {process.wait()}")
