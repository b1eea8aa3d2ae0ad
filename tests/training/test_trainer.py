import pytest

from detkit.training.trainer import Hook, Trainer


class Recorder(Hook):
    def __init__(self, log, name=""):
        self.log, self.name = log, name

    def before_run(self, start, stop):
        self.log.append(f"{self.name}run {start}-{stop}")

    def after_step(self, iteration, metrics):
        self.log.append(f"{self.name}after {iteration} {metrics['loss']}")

    def after_run(self):
        self.log.append(f"{self.name}left")


def test_hooks_stand_around_the_run_and_behind_each_step():
    log = []

    def step(iteration):
        log.append(f"step {iteration}")
        return {"loss": 10 * iteration}

    Trainer(step, [Recorder(log)]).run(3, 5)
    assert log == ["run 3-5", "step 3", "after 3 30", "step 4", "after 4 40", "left"]


def test_hooks_are_called_in_order():
    log = []
    Trainer(lambda i: {"loss": 0}, [Recorder(log, "a "), Recorder(log, "b ")]).run(0, 1)
    assert log == [
        "a run 0-1",
        "b run 0-1",
        "a after 0 0",
        "b after 0 0",
        "a left",
        "b left",
    ]


def test_no_step_runs_where_start_is_stop():
    log = []
    Trainer(lambda i: pytest.fail("a step ran"), [Recorder(log)]).run(5, 5)
    assert log == ["run 5-5", "left"]


def test_hooks_are_left_when_a_step_fails():
    log = []

    def step(iteration):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Trainer(step, [Recorder(log)]).run(0, 2)
    assert log[-1] == "left"


def test_a_hook_overrides_only_what_it_needs():
    seen = []

    class Losses(Hook):
        def after_step(self, iteration, metrics):
            seen.append((iteration, metrics["loss"]))

    Trainer(lambda i: {"loss": 10.0 * i}, [Hook(), Losses()]).run(0, 2)
    assert seen == [(0, 0.0), (1, 10.0)]
