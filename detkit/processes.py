"""What processes do the same way: the workers of one, and several that torchrun starts for one run."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading


def started_by_torchrun() -> bool:
    """Whether this process is one of those that torchrun starts."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def is_first_process() -> bool:
    """Whether this process speaks for the run: it is its only one, or the first of those that torchrun started."""
    return not started_by_torchrun() or os.environ["RANK"] == "0"


def follow_parent() -> None:
    """Leaves Ctrl-C to the parent, and ends this worker as soon as the parent has ended, however that ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "only workers follow"
    parent.join()
    os._exit(1)
