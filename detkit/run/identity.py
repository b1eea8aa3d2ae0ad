"""Which code makes a result."""

from __future__ import annotations

import hashlib
import inspect
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


def identity_of(component: type) -> dict[str, Any]:
    """What is hashed for the code of a component.

    A component of detkit counts by its name and ``version``, which is raised when it gives another result for the same
    settings. One from outside counts by the content of its sources, too: all Python files of its project or package,
    wherever these lie.

    Returns:
        ``name``, the place in its package; ``version``; and for code outside detkit ``source``, a sha256.
    """
    root, _, inner = component.__module__.partition(".")
    name = f"{inner}.{component.__qualname__}".strip(".")
    found: dict[str, Any] = {"name": name, "version": getattr(component, "version", 1)}
    return found if root == "detkit" else {**found, "source": _source(component, sys.modules[root])}


def source_outside(component: type) -> dict[str, Any]:
    """The part of ``identity_of`` that tells code outside detkit apart; empty for detkit's own."""
    return {key: value for key, value in identity_of(component).items() if key == "source"}


def _source(component: type, root: ModuleType) -> str:
    """sha256 of the package's Python files with their names, of the one module, or of a class typed into a notebook."""
    digest = hashlib.sha256()
    for folder in map(Path, getattr(root, "__path__", ())):
        for file in sorted(folder.rglob("*.py")):
            digest.update(f"{file.relative_to(folder).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    if not hasattr(root, "__path__"):
        file = Path(getattr(root, "__file__", None) or "")
        digest.update(file.read_bytes() if file.is_file() else _typed_in(component).encode())
    return digest.hexdigest()


def _typed_in(component: type) -> str:
    try:
        return inspect.getsource(component)
    except (OSError, TypeError):
        return ""
