"""A run that is killed, wherever that is, ends after resuming with the bits of one that was not."""

from __future__ import annotations

import random
import signal
from functools import partial

import pytest

from tests.reliability.harness import Job, Steps, interrupt_all, interrupt_parent, kill_after

RANDOM_KILLS = 100
PARTS = 4
WORKERS = "RUNTIME.WORKERS=2"


def test_a_run_that_is_killed_every_sixty_steps_gets_through(whole, job):
    kills = 0
    while (ended := job.run(*[WORKERS] * (kills % 2), prepare=Steps(60))).code == -signal.SIGKILL:
        whole.check_unfinished(job)
        kills += 1
    assert ended.code == 0, ended.said
    assert 4 <= kills <= len(whole.steps) // 30
    whole.check(job)


@pytest.mark.parametrize("share", [0.4, pytest.param(0.8, marks=pytest.mark.soak)])
def test_a_run_that_is_killed_at_some_moment_goes_on(whole, job, share):
    ended = job.run(WORKERS, prepare=partial(kill_after, share * whole.cpu))
    assert ended.code == -signal.SIGKILL, ended.said
    whole.check(job)


@pytest.mark.soak
@pytest.mark.parametrize("part", range(PARTS))
def test_a_run_that_is_killed_at_any_step_goes_on(whole, tmp_path, part):
    assert len(whole.steps) > 200
    for step in range(part, len(whole.steps), PARTS):
        job = Job(tmp_path / f"{step}")
        ended = job.run(prepare=Steps(step))
        assert ended.code == -signal.SIGKILL, (step, ended.said)
        whole.check(job)


@pytest.mark.soak
@pytest.mark.parametrize("part", range(PARTS))
def test_runs_that_are_killed_at_random_moments_go_on(whole, tmp_path, part):
    rng = random.Random(part)
    for n in range(RANDOM_KILLS // PARTS):
        job = Job(tmp_path / f"{n}")
        ended = job.run(*[WORKERS] * (n % 2), prepare=partial(kill_after, rng.uniform(0, 0.9) * whole.cpu))
        assert ended.code == -signal.SIGKILL, (n, ended.said)
        whole.check(job)


@pytest.mark.parametrize("kind", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.soak)])
def test_an_interrupted_run_says_so_in_one_line_and_goes_on(whole, job, kind):
    whole.without(job, "extract", "classify", "detect", "evaluate")
    send = interrupt_all if kind == signal.SIGINT else interrupt_parent
    ended = job.run(WORKERS, prepare=Steps(None, of="os.rename artifacts/extract", act=send))
    assert ended.code == 130
    assert ended.said.splitlines()[-1] == "detkit train: interrupted; the same command goes on from here"
    assert "Traceback" not in ended.said
    whole.check(job)
