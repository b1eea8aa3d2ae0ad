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
