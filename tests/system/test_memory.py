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


def test_another_c_library_is_left_alone(monkeypatch):
    def missing(name):
        raise OSError("no such library")

    for library in (lambda name: SimpleNamespace(), missing):
        monkeypatch.setattr(memory.ctypes, "CDLL", library)
        keep_freed_memory()
