from __future__ import annotations

import platform
import subprocess
import sys
from types import SimpleNamespace

import pytest

from detkit.system import memory
from detkit.system.memory import keep_freed_memory

FAULTS = """
import resource
from detkit.system.memory import keep_freed_memory
{}
bytearray(2**26)  # 64 MB, every page written
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
bytearray(2**26)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults_of_a_second_block(line: str) -> int:
    ended = subprocess.run([sys.executable, "-c", FAULTS.format(line)], stdout=subprocess.PIPE, text=True, check=True)
    return int(ended.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator")
def test_a_freed_block_is_used_again_without_mapping_its_pages():
    # pages have 4 kB, or 2 MB where the system makes them huge: 64 MB are at least 32 of them
    assert faults_of_a_second_block("keep_freed_memory()") < 16 < faults_of_a_second_block("")


def test_blocks_are_never_mapped_and_never_given_back(monkeypatch):
    # glibc's malloc.h: M_MMAP_MAX is -4, M_TRIM_THRESHOLD -1; the threshold is a C int
    asked = []
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=lambda *given: asked.append(given)))
    keep_freed_memory()
    assert sorted(asked) == [(-4, 0), (-1, 2147483647)]


GAPS = """
from detkit.system.memory import FreedMemory, _resident, keep_freed_memory
keep_freed_memory()
freed = FreedMemory(most=2**26)
freed.bound()
first = _resident()
held, gone = zip(*[(bytearray(2**10), bytearray(2**20)) for _ in range(200)])  # 200 MB of gaps between small blocks
del gone
before = _resident()
freed.bound()
once = _resident()
del held
held, gone = zip(*[(bytearray(2**10), bytearray(2**20)) for _ in range(40)])
del gone
freed.bound()
print(*(value - first >> 20 for value in (before, once, _resident())))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator")
def test_gaps_go_back_to_the_system_once_they_are_many():
    ended = subprocess.run([sys.executable, "-c", GAPS], stdout=subprocess.PIPE, text=True, check=True)
    before, once, few = map(int, ended.stdout.split())
    # 200 MB are more than the 64 that are allowed, the 40 MB after them are not.
    assert (before > 190, once < 10, 30 < few < 64) == (True, True, True), ended.stdout


def test_without_counts_of_memory_it_is_given_back_once(monkeypatch):
    given_back = []
    monkeypatch.setattr(memory, "_resident", lambda: 0)
    monkeypatch.setattr(memory, "_trim", lambda: given_back.append(1))
    freed = memory.FreedMemory(most=0)
    freed.bound()
    freed.bound()
    assert len(given_back) == 1


class Musl:
    """A C library without mallopt."""

    def __init__(self):
        self.asked = []

    def __getattr__(self, name):
        self.asked.append(name)
        raise AttributeError(name)


def test_another_c_library_is_asked_for_nothing_else(monkeypatch):
    library = Musl()
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: library)
    keep_freed_memory()
    assert library.asked == ["mallopt"]


@pytest.mark.parametrize("error", [OSError, TypeError])  # macOS without the symbol, Windows without a name
def test_a_system_that_gives_no_library_is_left_alone(monkeypatch, error):
    names = []

    def missing(name):
        names.append(name)
        raise error

    monkeypatch.setattr(memory.ctypes, "CDLL", missing)
    keep_freed_memory()
    assert names == [None]
