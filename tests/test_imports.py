"""What importing detkit needs of the system."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT

PROGRAM = """
import builtins, importlib, pkgutil, signal, sys

MISSING = {"fcntl", "resource", "pwd", "grp", "termios"}
allowed = builtins.__import__

def as_on_windows(name, *rest):
    importer = (rest[0] or {}).get("__name__", "") if rest else ""
    if name in MISSING and importer.partition(".")[0] == "detkit":
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return allowed(name, *rest)

builtins.__import__ = as_on_windows
sys.modules.pop("detkit", None)
import detkit

names = [m.name for m in pkgutil.walk_packages(detkit.__path__, "detkit.") if ".recipes" not in m.name]
for name in names:
    importlib.import_module(name)
print(len(names))
from detkit.report.measure import peak_memory
assert peak_memory() == 0
"""


def test_every_module_can_be_imported_without_the_modules_of_unix():
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 150
