"""Imports run one way, from what people type down to what touches the machine, and need little of it."""

from __future__ import annotations

import ast
from pathlib import Path

import detkit
from tests.fresh import run_fresh

PACKAGE = Path(detkit.__file__).parent
ROOMS = [
    ["errors", "__init__"],
    ["registry", "system", "progress"],
    ["structures", "config", "components"],
    ["data", "proposals", "backbones", "regions", "classifiers", "box_heads", "evaluation", "visualize"],
    ["diagnosis"],
    ["run", "training", "detection"],
    ["stages"],
    ["report", "study"],
    ["testing", "projects"],
    ["cli", "__main__"],
]
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}


def imported(file: Path) -> set[str]:
    """The rooms that a file imports, at its top or inside functions; what only type checkers read is left out."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = []
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("detkit"):
            path = node.module.split(".")[1:]
            found |= {path[0]} if path else {alias.name for alias in node.names}
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("detkit.")}
    return found & LEVEL.keys()


def test_every_room_has_its_level():
    rooms = {path.name if path.is_dir() else path.stem for path in PACKAGE.iterdir() if path.name != "py.typed"}
    assert rooms - {"__pycache__", "recipes"} == set(LEVEL)


def test_no_import_runs_upwards():
    # detkit.load is the one lazy way up: the package's own __init__ reaches the detector
    upwards = [
        f"{file.relative_to(PACKAGE)} imports {room}"
        for file in PACKAGE.rglob("*.py")
        if file != PACKAGE / "__init__.py"
        for own in [file.relative_to(PACKAGE).parts[0].removesuffix(".py")]
        for room in imported(file)
        if LEVEL[room] > LEVEL[own]
    ]
    assert upwards == []


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
from detkit.system.memory import peak_memory
assert peak_memory() == 0
"""


def test_every_module_can_be_imported_without_the_modules_of_unix():
    done = run_fresh(PROGRAM)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 150
