"""The processes of a run: its cores and workers, and several that torchrun starts."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading


def started_by_torchrun() -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def is_first_process() -> bool:
    """Whether this process is the only one of the run, or the first that torchrun started."""
    return not started_by_torchrun() or os.environ["RANK"] == "0"


def num_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cores_of_one(processes: int) -> int:
    """The number of cores for each of several processes that share the machine; at least one."""
    return max(1, num_cores() // processes)


def resolve_workers(asked: int, processes: int = 1) -> int:
    """The number of workers. -1 takes one per core, less one, and at least one if no other process shares the machine.

    Args:
        asked: a number of workers, or -1.
        processes: number of processes of the run that share the machine; each gets its part of the cores.
    """
    if asked >= 0:
        return asked
    cores = cores_of_one(processes)
    return max(1, cores - 1) if processes == 1 else cores - 1


def excess_of_workers(workers: int) -> str:
    """A line if there are more workers than cores; else empty."""
    if workers <= num_cores():
        return ""
    return f"{workers} workers on {num_cores()} cores: more workers than cores take memory and give no speed"


def follow_parent() -> None:
    """Leaves Ctrl-C to the parent, and ends this worker as soon as the parent has ended for any reason."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "only workers follow"
    parent.join()
    os._exit(1)
