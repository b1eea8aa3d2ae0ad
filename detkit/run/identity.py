"""Which code makes a result."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from detkit.config.project import BUNDLED, project_of


def identity_of(component: type) -> dict[str, Any]:
    """What is hashed for the code of a component.

    A component of detkit counts by its name and ``version``, which is raised when it gives another result for the same
    settings. One of a project or of another package counts by the content of its sources, too: all Python files of
    this project or package, wherever they lie.

    Returns:
        ``name``, the place in its package; ``version``; and for code outside detkit ``source``, a sha256.
    """
    root, _, inner = component.__module__.removeprefix(f"{BUNDLED}.").partition(".")
    name = f"{inner}.{component.__qualname__}".strip(".")
    found: dict[str, Any] = {"name": name, "version": getattr(component, "version", 1)}
    return found if root == "detkit" else {**found, "source": _source(component)}


def source_outside(component: type) -> dict[str, Any]:
    """The part of ``identity_of`` that tells code outside detkit apart; empty for detkit's own."""
    return {key: value for key, value in identity_of(component).items() if key == "source"}


def _source(component: type) -> str:
    """sha256 of a project's or package's Python files, of a lone module's, or of a class that was typed in."""
    project = project_of(component.__module__)
    root = sys.modules[component.__module__.partition(".")[0]]
    folders = [project] if project else [Path(folder) for folder in getattr(root, "__path__", ())]
    if folders:
        return _sha256(_files(folders))
    file = Path(getattr(root, "__file__", None) or "")
    return _sha256([("", file.read_bytes() if file.is_file() else _typed_in(component).encode())])


def _files(folders: Iterable[Path]) -> Iterable[tuple[str, bytes]]:
    for folder in folders:
        for file in sorted(folder.rglob("*.py")):
            yield file.relative_to(folder).as_posix(), file.read_bytes()


def _sha256(files: Iterable[tuple[str, bytes]]) -> str:
    digest = hashlib.sha256()
    for name, content in files:
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _typed_in(component: type) -> str:
    try:
        return inspect.getsource(component)
    except (OSError, TypeError):
        return ""
