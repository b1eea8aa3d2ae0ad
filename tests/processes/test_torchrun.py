"""Whole runs in two processes, as torchrun starts them.

Torchrun itself starts the run that is killed, and forks its two processes, which saves their imports; the long form
has it start programs. The other runs are forked with its environment.
"""

import os
import re
import shutil
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
import torch
from torch.distributed.run import main as torchrun

from detkit.cli.main import main
from tests.processes.pair import (
    PATIENCE,
    assert_same_moves,
    run_in_pair,
    tensors,
    torchrun_variables,
    tuned_moves,
)
from tests.reliability.harness import Job, warm_up

RECIPE = """
STAGES: [Pretrain, Propose, Finetune, Extract, Classify, Regress, Calibrate, Detect, Evaluate]
DATA:
  NAME: Shapes
  FINETUNE: train
  TRAIN: train
  TEST: test
  Shapes: {TRAIN_IMAGES: 11, TEST_IMAGES: 5, WIDTH: 64, MAX_SHAPES: 2}
PRETRAIN_DATA: {NAME: Shapes, Shapes: {FRAMED: true, TRAIN_IMAGES: 16, VAL_IMAGES: 4, WIDTH: 64}}
PROPOSALS: {NAME: SelectiveSearch, SelectiveSearch: {MODE: single}}
BACKBONE: {NAME: TinyNet, TinyNet: {WIDTH: 8, FC_DIM: 16, INPUT_SIZE: 32, DROPOUT: 0.0}}
REGION_EXTRACTOR: {WarpedCrops: {PADDING: 2}}
PRETRAIN: {ITERATIONS: 6, BATCH_SIZE: 9, HEAD_NORM: 5, CHECKPOINT_EVERY: 2}
FINETUNE: {ITERATIONS: 18, LR: 0.0003, LR_DROP_EVERY: 12, CHECKPOINT_EVERY: 4}
REGION_SAMPLER: {FixedFraction: {BATCH_SIZE: 17}}
CLASSIFIER: {LAYER: fc7}
CALIBRATE: {FOLDS: 2}
FEATURES: {STORE: stream, ROLES: [TRAIN, TEST]}
COMPUTE: {DTYPE: float32}
RUNTIME: {WORKERS: 0, BATCH: 32, THREADS: 1, REPORT: false}
ARTIFACTS: artifacts
OUTPUT_DIR: run
"""
LEARNT = ("classify", "regress", "detect")

WORKER = f"""
import os, pathlib, runpy, signal, sys
signal.alarm({PATIENCE})
pathlib.Path("number." + os.environ["RANK"]).write_text(str(os.getpid()))
def kill_the_other(event, args):
    if event == "os.rename" and "/finetune/" in str(args[1]) and str(args[1]).endswith("/checkpoint.safetensors"):
        os.kill(int(pathlib.Path("number.1").read_text()), signal.SIGKILL)
sys.addaudithook(kill_the_other)
runpy.run_module("detkit", run_name="__main__")
"""
"""The second process is killed when the first, which alone does so, stores its first checkpoint of fine-tuning."""
TORCHRUN = ("--standalone", "--nproc_per_node=2")


def forked(words: Sequence[str]) -> int:
    """Torchrun in this process, which forks the two."""
    torchrun([*TORCHRUN, "--run-path", "--start-method=fork", str(Path("worker.py").resolve()), *words])
    return 0


def typed(words: Sequence[str]) -> int:
    """Torchrun as people start it: three programs."""
    os.execv(sys.executable, [sys.executable, "-m", "torch.distributed.run", *TORCHRUN, "worker.py", *words])


def lines_of(said: str) -> list[str]:
    """What detkit itself said as an error, without torchrun's own report."""
    return re.findall(r"detkit \w+: .*", said)


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> Job:
    """The run in one process."""
    warm_up()
    job = Job(tmp_path_factory.mktemp("alone"), RECIPE)
    ended = job.run()
    assert ended.code == 0, ended.said
    return job


@pytest.mark.parametrize("store", ["stream", "disk"])
def test_the_same_network_gives_the_same_bits_in_two_processes(alone, tmp_path, store):
    job = Job(tmp_path, RECIPE)
    for stage in ("pretrain", "finetune"):
        shutil.copytree(alone.folder / "artifacts" / stage, job.folder / "artifacts" / stage)
    before = job.finished()
    said = run_in_pair(job, f"FEATURES.STORE={store}")
    assert said.count("classify train: done") == 1, "one process speaks"
    assert before.items() <= job.finished().items()
    expected, found = (tensors(j.folder, "propose", *LEARNT) for j in (alone, job))
    assert expected.keys() == found.keys()
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []
    assert (job.folder / "run/results.json").read_bytes() == (alone.folder / "run/results.json").read_bytes()


@pytest.mark.parametrize("start", [forked, pytest.param(typed, marks=pytest.mark.soak)])
def test_a_killed_process_ends_the_run_in_one_line_and_the_same_command_goes_on(alone, tmp_path, start):
    job, in_parts = Job(tmp_path, RECIPE), "FINETUNE.PARTS=2"  # each process also divides its share of a step
    (job.folder / "worker.py").write_text(WORKER, encoding="utf-8")
    started = job.start(in_parts, prepare=partial(signal.alarm, PATIENCE), program=start)
    ended = job.end(started)
    assert ended.code != 0
    assert len(lines_of(ended.said)) == 1, ended.said
    assert "the same command goes on from here" in lines_of(ended.said)[0].lower()
    assert 'detkit/cli/main.py"' not in ended.said, "no traceback but torchrun's own"
    before = job.finished()
    assert not [name for name in before if name.startswith("finetune")], "killed too late"

    assert "finetune: goes on" in run_in_pair(job, in_parts)
    assert before.items() <= job.finished().items()
    expected, pretrained = (tensors(j.folder, "pretrain") for j in (alone, job))
    assert expected.keys() == pretrained.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(pretrained[name], tensor, rtol=1e-5, atol=1e-6, msg=name)
    assert_same_moves(tuned_moves(job.folder), tuned_moves(alone.folder))


def test_other_commands_refuse_several_processes(monkeypatch, capsys):
    for name, value in torchrun_variables(rank=0, port=0).items():
        monkeypatch.setenv(name, value)
    assert main(["list"]) == 2
    told = "detkit list: only detkit train runs in several processes; start this without torchrun\n"
    assert capsys.readouterr() == ("", told)
