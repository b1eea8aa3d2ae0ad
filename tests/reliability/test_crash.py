"""A run that is killed, wherever that is, ends after resuming with the bits of one that was not."""

from __future__ import annotations

import random
import signal
from collections import Counter
from functools import partial

import pytest

from tests.conftest import FIGURE
from tests.reliability.harness import STAGES, Job, Steps, interrupt_all, interrupt_parent, kill_after

RANDOM_KILLS = 100
PARTS = 4
WORKERS = "RUNTIME.WORKERS=2"


def test_a_run_that_is_killed_every_seventy_steps_gets_through(whole, job):
    kills = 0
    while (ended := job.run(*[WORKERS] * (kills % 2), prepare=Steps(70))).code == -signal.SIGKILL:
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
def test_a_run_that_is_killed_at_any_step_goes_on(whole, tmp_path, part, record_property):
    assert len(whole.steps) > 200
    for step in range(part, len(whole.steps), PARTS):
        job = Job(tmp_path / f"{step}")
        ended = job.run(prepare=Steps(step))
        assert ended.code == -signal.SIGKILL, (step, ended.said)
        whole.check(job)
    record_property(FIGURE, ["kills at an enumerated step survived", len(range(part, len(whole.steps), PARTS))])


@pytest.mark.soak
def test_runs_that_are_killed_at_random_moments_of_every_stage_go_on(whole, tmp_path, record_property):
    rng = random.Random(0)
    hit: Counter[str] = Counter()
    for n in range(RANDOM_KILLS):
        job = Job(tmp_path / f"{n}")
        # Every other kill waits for a stage, so that the short ones are hit as well.
        wait = partial(kill_after, rng.uniform(0, 1) * whole.cpu)
        soon = rng.uniform(0, 0.02)
        if n % 2:
            stage = STAGES[n // 2 % len(STAGES)]
            wait = Steps(None, of=f"os.mkdir artifacts/{stage}", act=lambda path, cpu=soon: kill_after(cpu))
        ended = job.run(*[WORKERS] * (n // 2 % 2), prepare=wait)
        assert ended.code in (-signal.SIGKILL, 0), (n, ended.said)  # 0: it has got through before its time was over
        if ended.code:
            hit[ended.stage or "between stages"] += 1
        whole.check(job)
    assert set(STAGES) <= set(hit), hit
    for name, count in hit.items():
        record_property(FIGURE, [f"random kills survived: {name}", count])


@pytest.mark.parametrize("kind", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.soak)])
def test_an_interrupted_run_says_so_in_one_line_and_goes_on(whole, job, kind):
    whole.without(job, "extract", "classify", "detect", "evaluate")
    send = interrupt_all if kind == signal.SIGINT else interrupt_parent
    ended = job.run(WORKERS, prepare=Steps(None, of="os.rename artifacts/extract", act=send))
    assert ended.code == 130
    assert ended.own_lines == ["detkit train: interrupted; the same command goes on from here"]
    whole.check(job)
