"""Runs of a whole recipe in processes that may be killed at any step."""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import resource
import select
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import torch
from PIL import Image
from safetensors import safe_open

from detkit.backbones.tiny import TinyNet
from detkit.cli.main import main
from detkit.components import load_components

RECIPE = """
STAGES: [Pretrain, Propose, Finetune, Extract, Classify, Regress, Calibrate, Detect, Evaluate]
DATA:
  NAME: Shapes
  FINETUNE: train
  TRAIN: train
  TEST: test
  Shapes: {TRAIN_IMAGES: 9, VAL_IMAGES: 2, TEST_IMAGES: 3, WIDTH: 64, MAX_SHAPES: 2}
PRETRAIN_DATA: {NAME: Shapes, TRAIN: train, VAL: val, Shapes: {FRAMED: true, TRAIN_IMAGES: 4, VAL_IMAGES: 2, WIDTH: 64}}
PROPOSALS: {NAME: SelectiveSearch, SelectiveSearch: {MODE: single}}
BACKBONE: {NAME: TinyNet, TinyNet: {WIDTH: 4, FC_DIM: 8, INPUT_SIZE: 32}}
REGION_EXTRACTOR: {WarpedCrops: {PADDING: 2}}
PRETRAIN: {ITERATIONS: 3, BATCH_SIZE: 4, CHECKPOINT_EVERY: 1}
FINETUNE: {ITERATIONS: 3, LR: 0.01, CHECKPOINT_EVERY: 2}
REGION_SAMPLER: {FixedFraction: {BATCH_SIZE: 8}}
CLASSIFIER: {LAYER: fc7}
CALIBRATE: {FOLDS: 2}
RUNTIME: {WORKERS: 0, BATCH: 32, THREADS: 1, REPORT: false}
ARTIFACTS: artifacts
OUTPUT_DIR: run
"""
EVENTS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir")
STAGES = ("pretrain", "propose", "finetune", "extract", "classify", "regress", "calibrate", "detect", "evaluate")
OUTPUTS = ("results.json", "pictures.png", "detections", "model")


@dataclass(frozen=True)
class Ended:
    """A process that has ended.

    Args:
        code: its exit code, or the negative number of the signal that killed it.
        said: what it wrote to standard output and error.
    """

    code: int
    said: str

    @property
    def own_lines(self) -> list[str]:
        """What it said beside the messages on its steps."""
        lines = (line for line in self.said.splitlines() if line)
        return [line for line in lines if line.partition(":")[0].partition(" ")[0] not in (*STAGES, "there", "warning")]

    @property
    def stage(self) -> str:
        """The stage that it was in at its end; empty between two, before the first and after the last."""
        told = re.findall(r"^(\w+)(?: \w+)?: (starts|goes on|done)", self.said, re.MULTILINE)
        return told[-1][0] if told and told[-1][1] != "done" else ""


@dataclass(frozen=True)
class Started:
    """A process that runs.

    Args:
        number: its number.
        pipe: closes when it and all its workers have ended.
    """

    number: int
    pipe: int


@dataclass(frozen=True)
class Job:
    """A recipe with its own artefacts, run folder and cache.

    Args:
        folder: everything of it lies there.
        recipe: the text of the recipe.
    """

    folder: Path
    recipe: str = RECIPE

    def start(
        self,
        *words: str,
        prepare: Callable[[], object] | None = None,
        program: Callable[[Sequence[str]], int] = main,
    ) -> Started:
        """Starts ``detkit train``, or another program with its words, in a forked process, after ``prepare`` in it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "recipe.yaml").write_text(self.recipe, encoding="utf-8")
        sys.stdout.flush()
        sys.stderr.flush()
        cv2.setNumThreads(
            1
        )  # a fork that inherits the memory of OpenCV's threads but not the threads would wait for ever
        reads, writes = os.pipe()
        number = os.fork()
        if number:
            os.close(writes)
            return Started(number, reads)
        code = 1
        try:
            os.close(reads)
            os.chdir(self.folder)
            os.setpgid(0, 0)  # so that Ctrl-C can be sent to it and its workers alone
            os.environ["DETKIT_CACHE"] = "cache"
            said = os.open(f"said.{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(said, 1)
            os.dup2(said, 2)
            sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if prepare is not None:
                prepare()
            code = program(["train", "--config", "recipe.yaml", *words])
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def end(self, started: Started) -> Ended:
        """Waits for a process that was started; its workers must end with it."""
        _, status = os.waitpid(started.number, 0)
        # Workers hold the pipe's other end: it closes when the last of them has ended.
        closed, _, _ = select.select([started.pipe], [], [], 60)
        os.close(started.pipe)
        assert closed, "a worker lives on"
        said = self.folder / f"said.{started.number}"
        return Ended(os.waitstatus_to_exitcode(status), said.read_text(encoding="utf-8"))

    def run(self, *words: str, prepare: Callable[[], object] | None = None) -> Ended:
        """Runs ``detkit train`` to its end."""
        return self.end(self.start(*words, prepare=prepare))

    def finished(self) -> dict[str, tuple[int, int]]:
        """Every finished artefact with what tells one making of it from another."""
        root = self.folder / "artifacts"
        stats = {str(p.parent.relative_to(root)): p.stat() for p in root.glob("*/*/manifest.json")}
        return {name: (s.st_ino, s.st_mtime_ns) for name, s in stats.items() if not name.endswith(".partial")}

    def bits(self) -> dict[str, str]:
        """The sha256 of every file of the finished artefacts and of the run's outputs; times are left out.

        Of safetensors files it is that of their content: the library writes their facts in an order of its own.
        """
        roots = [self.folder / "artifacts" / name for name in self.finished()]
        roots += [self.folder / "run" / name for name in OUTPUTS]
        files = [p for root in roots for p in ([root] if root.is_file() else root.rglob("*")) if p.is_file()]
        return {
            str(p.relative_to(self.folder)): hashlib.sha256(_content(p)).hexdigest()
            for p in files
            if p.name != "metrics.jsonl"
        }


@dataclass(frozen=True)
class Whole:
    """The uninterrupted run that others are compared with.

    Args:
        steps: what it did to files, in order: "open run/log.txt" and so on.
        bits: what it left.
        cpu: seconds that it computed.
        folder: where it lies.
    """

    steps: list[str]
    bits: Mapping[str, str]
    cpu: float
    folder: Path

    def without(self, job: Job, *stages: str) -> None:
        """Gives a job what this run left, but for the results of some stages and the outputs."""
        for name in ("artifacts", "cache"):
            shutil.copytree(self.folder / name, job.folder / name)
        for stage in stages:
            shutil.rmtree(job.folder / "artifacts" / stage)

    def check_unfinished(self, job: Job) -> None:
        """Whatever has its final name among the job's artefacts is whole."""
        artifacts = {name: bits for name, bits in job.bits().items() if name.startswith("artifacts")}
        assert artifacts.items() <= self.bits.items()

    def check(self, job: Job) -> Ended:
        """The job resumes to the same bits, makes nothing again that was finished, and leaves nothing half done."""
        self.check_unfinished(job)
        before = job.finished()
        ended = job.run()
        assert ended.code == 0, ended.said
        assert job.bits() == self.bits
        assert before.items() <= job.finished().items(), "a finished artefact was made again"
        left = list((job.folder / "artifacts").rglob("*.partial"))
        left += list((job.folder / "run").glob("*.partial"))
        assert not left
        return ended


def _content(file: Path) -> bytes:
    if file.suffix != ".safetensors":
        return file.read_bytes()
    with safe_open(file, "np") as stored:
        parts = [repr(sorted((stored.metadata() or {}).items())).encode()]
        for name in sorted(stored.keys()):
            values = stored.get_tensor(name)
            parts += [f"{name} {values.dtype} {values.shape}".encode(), values.tobytes()]
    return b"\n".join(parts)


class Steps:
    """Counts what this process does to files below the working folder, and acts before one of them.

    Args:
        act: what to do then, told the path; kills this process by default.
        at: the step, counted from 0; None for the first whose line starts with ``of``; -1 for none.
        of: "event path".
        log: a file that each step is written to.
    """

    def __init__(
        self,
        at: int | None = -1,
        *,
        of: str = "",
        act: Callable[[Path], object] | None = None,
        log: Path | None = None,
    ) -> None:
        self.at, self.of, self.act, self.log = at, of, act or kill, log
        self.count, self.process, self.file = 0, 0, -1

    def __call__(self) -> None:
        """Starts counting in this process; forked ones are not counted."""
        self.process = os.getpid()
        self.file = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND) if self.log else -1
        self.root = f"{Path.cwd()}/"
        sys.addaudithook(self._hook)

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if event not in EVENTS or os.getpid() != self.process or not isinstance(args[0], (str, os.PathLike)):
            return
        path = os.fspath(args[0]).removeprefix(self.root)
        writes = event != "open" or args[2] & (os.O_WRONLY | os.O_RDWR) or ".partial" in path
        if not path or path.startswith("/") or not writes:
            return
        line = f"{event} {path}"
        if self.count == self.at or (self.at is None and line.startswith(self.of)):
            self.at = -1
            self.act(Path(path))
        self.count += 1
        if self.file >= 0:
            os.write(self.file, f"{line}\n".encode())


def kill(path: Path) -> None:
    """Kills this process; a file that it is at is torn first, as a power cut may leave it."""
    if path.is_file():
        os.truncate(path, path.stat().st_size // 2)
    os.kill(os.getpid(), signal.SIGKILL)


def kill_after(cpu: float) -> None:
    """Kills this process when it has computed so many seconds from now."""
    end, pause = time.process_time() + cpu, threading.Event()

    def watch() -> None:
        while time.process_time() < end:
            pause.wait(0.001)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def whole_run(folder: Path, recipe: str = RECIPE) -> Whole:
    """Runs a job to its end without interruption."""
    warm_up()
    job = Job(folder, recipe)
    log = folder / "steps.log"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    ended = job.run(prepare=Steps(log=log))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert ended.code == 0, ended.said
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Whole(log.read_text(encoding="utf-8").splitlines(), job.bits(), cpu, folder)


def warm_up() -> None:
    """Imports once, before the forks, what each run would import for itself: most of a run's time."""
    load_components()
    for module in ("detkit.report.outputs", "sklearn.svm", "torchvision"):
        importlib.import_module(module)
    Image.init()
    with torch.device("meta"):
        TinyNet()


def interrupt_all(path: Path) -> None:
    """Ctrl-C: the terminal sends it to the process and its workers."""
    os.killpg(0, signal.SIGINT)


def interrupt_parent(path: Path) -> None:
    """What a job scheduler sends."""
    os.kill(os.getpid(), signal.SIGTERM)
