"""Random numbers that depend on a seed and a name alone, never on earlier draws."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def rng_for(seed: int, *names: str | int) -> np.random.Generator:
    """The generator for one purpose, as in ``rng_for(3, "finetune", step)``; it is the same in every process."""
    return np.random.default_rng(_number(seed, names))


@contextmanager
def torch_seed(seed: int, *names: str | int) -> Iterator[None]:
    """A context in which torch's random numbers (dropout, initialisation) have a state of their own.

    The state depends on seed and names alone, so a run that resumes at step t draws the same numbers as an
    uninterrupted run. After the context, torch's state is as before.
    """
    devices = range(torch.cuda.device_count())
    # torch.manual_seed writes down its whole call stack for a CUDA that is not there: milliseconds of every step.
    manual_seed = torch.manual_seed if devices else torch.default_generator.manual_seed
    with torch.random.fork_rng(devices=devices):
        manual_seed(_number(seed, names) % 2**63)
        yield


def _number(seed: int, names: tuple[str | int, ...]) -> int:
    """128 bits of a seed and names; hash() would differ between processes."""
    return int.from_bytes(hashlib.sha256(json.dumps([seed, *names]).encode()).digest()[:16], "big")
