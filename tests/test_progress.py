from __future__ import annotations

import io

import pytest

from detkit import progress as module
from detkit.progress import LineProgress, progress


@pytest.fixture
def clock(monkeypatch):
    """The time that progress sees; a test sets it."""
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_lines_come_after_five_seconds_and_then_every_thirty(clock):
    out = io.StringIO()
    with LineProgress("propose", 100, "image", stream=out) as bar:
        for seconds in (1, 4.9, 5, 20, 34.9, 35, 40):
            clock[0] = 100 + seconds
            bar.update(2)
    # 6 images in 5 s leave 94 / 1.2 = 78 s; 12 in 35 s leave 88 / 0.343 = 257 s
    assert out.getvalue().splitlines() == [
        "propose: 6/100 image, 1.2 image/s, 78 s left",
        "propose: 12/100 image, 0.3 image/s, 257 s left",
        "propose: 14/100 image done",
    ]


def test_what_is_noted_stands_behind_the_numbers(clock, monkeypatch):
    out = io.StringIO()
    with LineProgress("finetune", 4, "steps", stream=out) as bar:
        bar.note("loss 2")
        bar.note("loss 1.5")
        clock[0] += 5
        bar.update()
        bar.note("loss 1.2")
    assert out.getvalue().splitlines() == [
        "finetune: 1/4 steps, 0.2 steps/s, 15 s left, loss 1.5",
        "finetune: 1/4 steps done, loss 1.2",
    ]
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr(module.sys, "stderr", screen)
    monkeypatch.setattr(module, "SHORTEST", 0.0)
    with progress("finetune", 4, "steps") as bar:
        bar.note("loss 1.5")
        bar.update(4)
    assert "loss 1.5" in screen.getvalue().rpartition("\r")[2]


def test_short_loop_prints_nothing(clock):
    out = io.StringIO()
    with LineProgress("propose", 1, "image", stream=out) as bar:
        bar.update()
    assert out.getvalue() == ""


def test_time_left_is_unknown_while_nothing_is_done(clock):
    out = io.StringIO()
    bar = LineProgress("regress", 4, "class", stream=out)
    clock[0] += 6
    bar.update(0)
    assert out.getvalue() == "regress: 0/4 class, 0.0 class/s, unknown time left\n"


def test_bar_on_a_terminal_has_ended_its_line_before_an_error_is_told(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setattr(module.sys, "stderr", screen)
    monkeypatch.setattr(module, "SHORTEST", 0.0)
    with pytest.raises(KeyError), progress("propose", 3, "image") as bar:
        bar.update()
        raise KeyError
    assert screen.getvalue().rpartition("\r")[2].startswith("propose:")
    assert screen.getvalue().endswith("\n")
    shown = screen.getvalue()
    bar.close()
    assert screen.getvalue() == shown


def test_nothing_is_shown_where_it_is_not_to_be(capsys):
    with progress("propose", 3, "image", shown=False) as bar:
        bar.update()
    assert capsys.readouterr().err == ""
