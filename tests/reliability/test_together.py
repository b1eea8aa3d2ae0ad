"""Two runs at once on one folder of artefacts."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.reliability.harness import Job, Started, Steps

MAKING = "os.rename artifacts/extract"


def stopped(job: Job, *words: str) -> Started:
    """A run that has stopped in the middle of making features."""
    started = job.start(*words, prepare=Steps(None, of=MAKING, act=lambda path: os.kill(os.getpid(), signal.SIGSTOP)))
    _, status = os.waitpid(started.number, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    return started


def when_waiting(other: Started, number: signal.Signals):
    """Sends the other run a signal as soon as this one waits for a lock."""

    tried = None

    def hook(event: str, args: tuple) -> None:
        nonlocal tried
        if event != "fcntl.flock":
            return
        path = Path(f"/proc/self/fd/{args[0]}").readlink() if args[1] & fcntl.LOCK_EX else None
        if path and path == tried:  # in vain, else it would have been freed before
            os.kill(other.number, number)
        tried = path

    return lambda: sys.addaudithook(hook)


@pytest.mark.parametrize("folder", ["second", pytest.param("run", marks=pytest.mark.soak)])
def test_the_second_run_says_that_it_waits_and_makes_nothing_twice(whole, job, folder):
    whole.without(job, "extract", "classify", "detect", "evaluate")
    first = stopped(job)
    second = job.run(f"OUTPUT_DIR={folder}", prepare=when_waiting(first, signal.SIGCONT))
    first = job.end(first)
    assert (first.code, second.code) == (0, 0), first.said + second.said
    waits = (
        "waits for another run that writes to run" if folder == "run" else "extract: waits for another run that makes"
    )
    assert second.said.count(waits) == 1
    for step in ("extract train", "classify train", "detect test", "evaluate test"):
        assert (first.said + second.said).count(f"{step}: done in") == 1
    whole.check(job)


def test_the_lock_of_a_killed_run_is_free(whole, job):
    whole.without(job, "extract", "classify", "detect", "evaluate")
    first = stopped(job, "RUNTIME.WORKERS=1")
    second = job.run(prepare=when_waiting(first, signal.SIGKILL))
    assert job.end(first).code == -signal.SIGKILL
    assert second.code == 0, second.said
    assert "waits for another run" in second.said
    whole.check(job)
