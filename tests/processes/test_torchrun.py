"""Whole runs in two processes, as torchrun starts them.

Torchrun itself starts the run that is killed; the others are forked with its environment, which saves their imports.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from detkit.cli.main import main
from tests.reliability import harness

RECIPE = """
STAGES: [Pretrain, Propose, Finetune, Extract, Classify, Regress, Calibrate, Detect, Evaluate]
DATA:
  NAME: Shapes
  FINETUNE: train
  TRAIN: train
  TEST: test
  Shapes: {TRAIN_IMAGES: 20, TEST_IMAGES: 11, WIDTH: 96, MAX_SHAPES: 2}
PRETRAIN_DATA: {NAME: Shapes, Shapes: {FRAMED: true, TRAIN_IMAGES: 16, VAL_IMAGES: 4, WIDTH: 64}}
PROPOSALS: {NAME: SelectiveSearch, SelectiveSearch: {MODE: single}}
BACKBONE: {NAME: TinyNet, TinyNet: {WIDTH: 8, FC_DIM: 16, INPUT_SIZE: 32, DROPOUT: 0.0}}
REGION_EXTRACTOR: {WarpedCrops: {PADDING: 2}}
PRETRAIN: {ITERATIONS: 6, BATCH_SIZE: 9, HEAD_NORM: 5, CHECKPOINT_EVERY: 2}
FINETUNE: {ITERATIONS: 60, LR: 0.0003, LR_DROP_EVERY: 40, CHECKPOINT_EVERY: 2}
REGION_SAMPLER: {FixedFraction: {BATCH_SIZE: 17}}
CLASSIFIER: {LAYER: fc7}
FEATURES: {STORE: stream, ROLES: [TRAIN, TEST]}
COMPUTE: {DTYPE: float32}
RUNTIME: {WORKERS: 0, BATCH: 32, THREADS: 1, REPORT: false}
ARTIFACTS: artifacts
OUTPUT_DIR: run
"""
LEARNT = ("classify", "regress", "detect")


class Job:
    """A folder in which the recipe is run in one process or in two."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")

    def start(self) -> subprocess.Popen:
        """Starts it by torchrun."""
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
        return subprocess.Popen(
            [*torchrun, "-m", "detkit", "train", "--config", "recipe.yaml"],
            cwd=self.folder,
            env={**os.environ, "DETKIT_CACHE": "cache"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *words: str) -> str:
        """Runs it to its end in two forked processes and gives what both said."""
        job = harness.Job(self.folder, RECIPE)
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        started = [job.start(*words, prepare=partial(as_torchrun, rank, port)) for rank in range(2)]
        ended = [job.end(one) for one in started]
        said = "".join(one.said for one in ended)
        assert [one.code for one in ended] == [0, 0], said
        return said

    def tensors(self, *stages: str) -> dict[str, torch.Tensor]:
        root = self.folder / "artifacts"
        files = [file for stage in stages for file in sorted(root.glob(f"{stage}/*/*.safetensors"))]
        return {f"{f.relative_to(root)}:{name}": t for f in files for name, t in load_file(f).items()}

    def finished(self) -> dict[str, int]:
        root = self.folder / "artifacts"
        return {str(p.parent.relative_to(root)): p.stat().st_ino for p in root.glob("*/*/manifest.json")}


def torchrun_variables(rank: int, port: int) -> dict[str, str]:
    """What torchrun tells one of two processes."""
    number, meeting = str(rank), {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    size = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    return {"TORCHELASTIC_RUN_ID": "test", "RANK": number, "LOCAL_RANK": number, **size, **meeting}


def as_torchrun(rank: int, port: int) -> None:
    """Makes a forked process one of two, which ends by a signal where it waits in vain for the other one."""
    os.environ.update(torchrun_variables(rank, port))
    signal.alarm(200)


def lines_of(said: str) -> list[str]:
    """What detkit itself said as an error, without torchrun's own report."""
    return re.findall(r"detkit \w+: .*", said)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The run in one process."""
    job = Job(tmp_path_factory.mktemp("alone") / "job")
    before = Path.cwd(), os.environ.get("DETKIT_CACHE")
    os.chdir(job.folder)
    os.environ["DETKIT_CACHE"] = "cache"
    threads = torch.get_num_threads()
    try:
        assert main(["train", "--config", "recipe.yaml"]) == 0
    finally:
        torch.set_num_threads(threads)
        os.chdir(before[0])
        os.environ.pop("DETKIT_CACHE") if before[1] is None else os.environ.update(DETKIT_CACHE=before[1])
    return job


@pytest.mark.parametrize("store", ["stream", "disk"])
def test_the_same_network_gives_the_same_bits_in_two_processes(alone, tmp_path, store):
    job = Job(tmp_path / "two")
    for stage in ("pretrain", "finetune"):
        subprocess.run(["cp", "-r", "--parents", f"artifacts/{stage}", str(job.folder)], cwd=alone.folder, check=True)
    before = job.finished()
    said = job.run(f"FEATURES.STORE={store}")
    assert said.count("classify train: done") == 1, "one process speaks"
    assert before.items() <= job.finished().items()
    expected, found = (j.tensors("propose", *LEARNT) for j in (alone, job))
    assert expected.keys() == found.keys()
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []
    assert (job.folder / "run/results.json").read_bytes() == (alone.folder / "run/results.json").read_bytes()


def test_a_killed_process_ends_the_run_in_one_line_and_the_same_command_goes_on(alone, tmp_path):
    job = Job(tmp_path / "two")
    process = job.start()
    waited, pause = job.folder / "artifacts/finetune", threading.Event()
    while not list(waited.glob("*.partial/checkpoint.safetensors")):
        assert process.poll() is None, process.communicate()[0]
        pause.wait(0.01)
    os.kill(number_of(process.pid, rank=1), signal.SIGKILL)
    said, _ = process.communicate(timeout=100)
    assert process.returncode != 0
    assert len(lines_of(said)) == 1, said
    assert "the same command goes on from here" in lines_of(said)[0].lower()
    assert 'detkit/cli/main.py"' not in said, "no traceback but torchrun's own"
    before = job.finished()
    assert not [name for name in before if name.startswith("finetune")], "killed too late"

    assert "finetune: goes on" in job.run()
    assert before.items() <= job.finished().items()
    # Gradients of both parts add up to those of one process but for rounding, which grows with the steps.
    start, pretrained = (j.tensors("pretrain") for j in (alone, job))
    assert start.keys() == pretrained.keys()
    for name, tensor in start.items():
        torch.testing.assert_close(pretrained[name], tensor, rtol=1e-5, atol=1e-6, msg=name)
    moved, expected = (moves(j.tensors("pretrain"), j.tensors("finetune")) for j in (job, alone))
    assert float((moved - expected).norm() / expected.norm()) < 0.01


def test_other_commands_refuse_several_processes(monkeypatch, capsys):
    for name, value in torchrun_variables(rank=0, port=0).items():
        monkeypatch.setenv(name, value)
    assert main(["list"]) == 2
    told = "detkit list: only detkit train runs in several processes; start this without torchrun\n"
    assert capsys.readouterr() == ("", told)


def moves(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> torch.Tensor:
    """What fine-tuning changed, all weights behind each other."""
    start = {name.rpartition("/")[2]: t for name, t in before.items()}
    end = {name.rpartition("/")[2]: t for name, t in after.items() if "network" in name}
    assert start.keys() == end.keys()
    return torch.cat([(end[name] - start[name]).flatten() for name in start])


def number_of(torchrun: int, rank: int) -> int:
    """The process of a rank below torchrun."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        parent = int(status.read_text().rpartition(")")[2].split()[1])
        if parent == torchrun and f"\0RANK={rank}\0".encode() in (status.parent / "environ").read_bytes():
            return int(status.parent.name)
    raise AssertionError(f"no process {rank}")
