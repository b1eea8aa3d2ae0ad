"""The rule for paths in recipes and on the command line.

- A path is relative to the working folder.
- A path that begins with ``./`` or ``../`` is relative to the file that names it; one with ``~/`` to the home folder.
- Recipes, bases and projects of detkit are also found by their path in detkit, such as ``projects/rcnn/quick.yaml``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import detkit
from detkit.config.yaml_file import COMMAND_LINE, Leaf

BESIDE = ("./", "../")


def recipes_folder() -> Path:
    """The folder that holds ``projects/`` and ``configs/``: inside an installed package, beside it in a checkout."""
    package = Path(detkit.__file__).resolve().parent
    bundled = package / "recipes"
    return bundled if (bundled / "projects").is_dir() else package.parent


def located(leaf: Leaf) -> Leaf:
    """The same leaf with full paths for each path that is ``.`` or ``..`` or begins with ``./``, ``../`` or ``~/``."""
    return replace(leaf, value=_located(leaf.value, folder_of(leaf.origin)))


def _located(value: Any, beside: Path) -> Any:
    if isinstance(value, list):
        return [_located(v, beside) for v in value]
    if isinstance(value, str) and f"{value}/".startswith(BESIDE):
        return str(beside / value)
    if isinstance(value, str) and value.startswith("~/"):
        return os.path.expanduser(value)  # noqa: PTH111 (that of Path raises where there is no home)
    return value


def folder_of(origin: str) -> Path:
    """The folder of a leaf's file; the working folder for a leaf of the command line."""
    return Path.cwd() if origin == COMMAND_LINE else Path(origin.rpartition(":")[0]).parent


def found(path: str | Path, is_there: Callable[[Path], bool] = Path.is_file) -> Path | None:
    """The file or folder at a path in the working folder, else in detkit; None if there is none."""
    candidates = (Path(path), recipes_folder() / path)
    return next((candidate.resolve() for candidate in candidates if is_there(candidate)), None)


def not_found(path: str, origin: str, is_there: Callable[[Path], bool] = Path.is_file) -> str:
    """For messages: where ``found`` has looked, and how to write a path relative to the file that names it."""
    if Path(path).is_absolute():
        return ""
    hint = f"; write ./{path} for the one beside this file" if is_there(folder_of(origin) / path) else ""
    return looked_in(path) + hint


def looked_in(path: str | Path) -> str:
    """For messages: the folders in which ``found`` has looked; empty for an absolute path."""
    folders = dict.fromkeys((str(Path.cwd()), str(recipes_folder())))
    return "" if Path(path).is_absolute() else f"; looked for in {' and '.join(folders)}"
