"""Runs of a recipe in two processes that find each other as torchrun's do."""

from __future__ import annotations

import os
import signal
import socket
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file

from tests.reliability.harness import Job

PATIENCE = 200
"""Seconds after which a process ends by a signal, where it waits in vain for another one."""


def torchrun_variables(rank: int, port: int) -> dict[str, str]:
    """What torchrun tells one of two processes."""
    number, meeting = str(rank), {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    size = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    return {"TORCHELASTIC_RUN_ID": "test", "RANK": number, "LOCAL_RANK": number, **size, **meeting}


def run_in_pair(job: Job, *words: str) -> str:
    """Runs a job to its end in two forked processes and gives what both said."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    started = [job.start(*words, prepare=partial(_as_torchrun, rank, port)) for rank in range(2)]
    ended = [job.end(one) for one in started]
    said = "".join(one.said for one in ended)
    assert [one.code for one in ended] == [0, 0], said
    return said


def tensors(folder: Path, *stages: str) -> dict[str, torch.Tensor]:
    """All that these stages of a job have left, by file and name."""
    root = folder / "artifacts"
    files = [file for stage in stages for file in sorted(root.glob(f"{stage}/*/*.safetensors"))]
    return {f"{f.relative_to(root)}:{name}": t for f in files for name, t in load_file(f).items()}


def tuned_moves(folder: Path) -> torch.Tensor:
    """What fine-tuning changed of the network, all weights behind each other."""
    start, end = (
        {name.rpartition("/")[2]: t for name, t in tensors(folder, stage).items() if "network" in name}
        for stage in ("pretrain", "finetune")
    )
    assert start.keys() == end.keys()
    return torch.cat([(end[name] - start[name]).flatten() for name in start])


def assert_same_moves(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Gradients of both parts add up to those of one process but for rounding, which grows with the steps."""
    assert float((found - expected).norm() / expected.norm()) < 0.01


def _as_torchrun(rank: int, port: int) -> None:
    os.environ.update(torchrun_variables(rank, port))
    signal.alarm(PATIENCE)
