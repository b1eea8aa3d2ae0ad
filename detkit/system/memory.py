"""The memory of this process, and how the C library manages it."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import sys
from pathlib import Path

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Source: glibc's malloc.h."""


def keep_freed_memory() -> None:
    """Makes glibc keep freed memory of any size for the next tensor. Without glibc it does nothing.

    By default glibc maps every block of more than 32 MB anew, and returns it to the system when it is freed. The first
    layers of a network need larger blocks in every pass. Mapping their pages took a quarter of CaffeNet's extraction
    (64 crops in bfloat16: 352 ms of processor time, 268 ms with the memory kept) and half of its training (32 crops:
    1143 and 606 ms). Keeping the memory raises the peak by 8 %.

    Freed memory stays with the process, so only whole programs should call this. The command line does; importing
    detkit changes nothing.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library: musl, macOS, Windows
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


class FreedMemory:
    """Returns freed memory to the system when there is much of it. Without glibc it does nothing.

    Passes of one size reuse the memory of the last pass. Passes of many sizes leave gaps: fine-tuning of Fast R-CNN at
    three scales held 0.5 GB after 80 steps, with 2.0 GB of growing gaps. Returning the gaps takes time, because pages
    are mapped again when they are written, so it is not done after every pass.

    Args:
        most: bytes by which the process may grow between two returns.
    """

    def __init__(self, most: int = 3 * 2**29) -> None:
        self.most = most
        self._held: int | None = None

    def bound(self) -> None:
        """Call it between passes, when the memory of the last pass is free. The first call returns older gaps, too."""
        if self._held is None or _resident() > self._held + self.most:
            _trim()
            self._held = _resident()


def _resident() -> int:
    """Bytes that this process holds in memory; 0 if the system does not count them."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:  # not on Linux
        return 0
    return int(pages) * mmap.PAGESIZE


def _trim() -> None:
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def peak_memory() -> int:
    """The peak of this process in bytes, plus that of its largest worker; 0 if the system does not count it."""
    try:
        import resource  # not on Windows
    except ImportError:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
