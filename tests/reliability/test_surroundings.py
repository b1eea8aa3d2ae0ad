"""A full disk, a folder that cannot be written, an image that goes away: one line, and nothing is lost."""

from __future__ import annotations

import errno
import os
import re
import resource
from pathlib import Path

import pytest

from tests.reliability.harness import Steps

LIMIT = 1500  # bytes: less than the features of an image take, more than was said until then


def only_line(ended) -> str:
    """The one line that a run ends with."""
    assert ended.code == 2, ended.said
    (line,) = ended.own_lines
    return line


def test_a_full_disk_names_the_file_and_keeps_what_is_finished(whole, job):
    whole.without(job, "extract", "classify", "regress", "detect", "evaluate")

    def fill(path: Path) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT))

    line = only_line(job.run(prepare=Steps(None, of="os.rename artifacts/extract", act=fill)))
    assert line.startswith("detkit train: artifacts/extract/")
    assert ".safetensors: cannot be written: " in line and "File too large" in line
    assert line.endswith("; what is finished stays")
    whole.check(job)


@pytest.mark.parametrize(
    ("number", "step"),
    [
        (errno.ENOSPC, "open artifacts/extract/"),
        (errno.ENOSPC, "os.rename artifacts/classify"),
        (errno.EDQUOT, "os.mkdir artifacts/detect"),
        (errno.EROFS, "os.mkdir run"),
        (errno.EROFS, "open run/plan.json"),
        (errno.EACCES, "os.mkdir artifacts/extract"),
    ],
)
def test_what_the_disk_refuses_in_a_step_is_told_and_what_is_finished_stays(whole, job, number, step):
    whole.without(job, "extract", "classify", "regress", "detect", "evaluate")

    def refuse(path: Path) -> None:
        raise OSError(number, os.strerror(number), str(path))

    line = only_line(job.run(prepare=Steps(None, of=step, act=refuse)))
    assert line.startswith(f"detkit train: {step.split()[1]}")
    assert re.search(f"cannot be (read or )?written: {os.strerror(number)}; make room", line)
    whole.check(job)


def test_an_image_that_is_replaced_while_a_step_reads_it_is_named_and_nothing_of_it_stays(whole, job):
    whole.without(job, "extract", "classify", "detect", "evaluate")
    file = next(file for file in (job.folder / "cache").rglob("000002.png") if is_trained_on(file))
    image, other = file.read_bytes(), file.with_name("000001.png").read_bytes()
    made = Steps(None, of="os.rename artifacts/extract", act=lambda path: file.write_bytes(other))
    line = only_line(job.run(prepare=made))
    assert f"{file.name}: this image was changed after the run had started; what extract train made of it" in line
    assert not list((job.folder / "artifacts/extract").glob("*.partial"))
    file.write_bytes(image)
    whole.check(job)


def test_a_log_that_cannot_be_written_ends_the_run_in_one_line(job):
    (job.folder / "run").mkdir()
    (job.folder / "run" / "log.txt").symlink_to("/dev/full")
    assert "run/log.txt: cannot be written: No space left on device" in only_line(job.run())


def test_a_pipe_in_the_place_of_the_log_or_the_lock_does_not_make_a_run_wait(whole, job):
    whole.without(job)
    (job.folder / "run").mkdir()
    os.mkfifo(job.folder / "run" / ".lock")
    os.mkfifo(job.folder / "run" / "log.txt")
    assert "run/log.txt: is a pipe, which waits for a reader; remove it" in only_line(job.run())
    (job.folder / "run" / "log.txt").unlink()
    assert job.run().code == 0


def test_a_file_in_the_way_of_a_folder_is_named(job):
    (job.folder / "taken").write_text("mine")
    assert "taken/run" in (line := only_line(job.run("OUTPUT_DIR=taken/run"))) and "Not a directory" in line
    line = only_line(job.run("ARTIFACTS=taken"))
    assert "taken" in line and "cannot be read or written: " in line
    assert (job.folder / "taken").read_text() == "mine"


def test_an_image_that_goes_away_is_named_and_the_run_goes_on_when_it_is_back(whole, job):
    whole.without(job, "extract", "classify", "detect", "evaluate")
    lost = next(file for file in (job.folder / "cache").rglob("000002.png") if is_trained_on(file))
    image = lost.read_bytes()
    line = only_line(job.run(prepare=Steps(None, of="os.mkdir artifacts/extract", act=lambda path: lost.unlink())))
    assert line.startswith("detkit train: ") and f"{lost.name}: cannot read the image: No such file" in line
    line = only_line(job.run())
    assert f"{lost.name}: cannot read the image: No such file" in line
    lost.write_bytes(image)
    whole.check(job)


def is_trained_on(file: Path) -> bool:
    return len(list(file.parent.glob("*.png"))) == 9
