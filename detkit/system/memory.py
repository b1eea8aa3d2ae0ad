"""How much memory this process takes, and how the C library hands it out."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import sys
from pathlib import Path

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Source: glibc's malloc.h."""


def keep_freed_memory() -> None:
    """Makes glibc keep freed memory of any size for the next tensor; elsewhere nothing happens.

    By default it maps every block of more than 32 MB anew and returns it when it is freed. The first layers of a
    network make larger ones in every pass, and mapping their pages took a quarter of CaffeNet's extraction (64 crops
    in bfloat16: 352 ms of processor time, 268 ms with the memory kept) and half of its training (32 crops: 1143 and
    606 ms), for 8 % more memory at the peak. What was freed stays with the process, so this is for whole programs: the
    command line calls it; importing detkit changes nothing.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library: musl, macOS, Windows
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


class FreedMemory:
    """Gives freed memory back to the system when much of it has piled up; elsewhere than with glibc nothing happens.

    Passes of one size use again what the last one freed. Passes of many sizes leave gaps between what is held: Fast
    R-CNN's tuning in three scales held 0.5 GB after 80 steps, beside 2.0 GB of gaps, and they went on growing. To give
    them back takes time, as the pages are mapped anew when they are written to, so it is not done after every pass.

    Args:
        most: bytes by which the process may grow between two times.
    """

    def __init__(self, most: int = 3 * 2**29) -> None:
        self.most = most
        self._held: int | None = None

    def bound(self) -> None:
        """To be called between passes, when the last one's memory is free. The first time, older gaps go back, too."""
        if self._held is None or _resident() > self._held + self.most:
            _trim()
            self._held = _resident()


def _resident() -> int:
    """Bytes that this process holds in memory; 0 where nothing counts them."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except OSError:  # not on Linux
        return 0
    return int(pages) * mmap.PAGESIZE


def _trim() -> None:
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)


def peak_memory() -> int:
    """Most bytes that this process has held, and the largest of its workers beside it; 0 where nothing counts them."""
    try:
        import resource  # not on Windows
    except ImportError:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
