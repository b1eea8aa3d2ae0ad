"""The identity of the code that makes a result."""

from __future__ import annotations

import hashlib
import inspect
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from detkit.config.project import BUNDLED, project_of


def identity_of(component: type) -> dict[str, Any]:
    """The values that are hashed for the code of a component.

    For a component of detkit these are its name and ``version``, which is raised when it gives another result for the
    same settings. For a component of a project or another package they include the content of all Python files of that
    project or package, in any folder.

    Returns:
        ``name``, its place in its package; ``version``; and for code outside detkit ``source``, a sha256.
    """
    root, _, inner = component.__module__.removeprefix(f"{BUNDLED}.").partition(".")
    name = f"{inner}.{component.__qualname__}".strip(".")
    found: dict[str, Any] = {"name": name, "version": getattr(component, "version", 1)}
    return found if root == "detkit" else {**found, "source": _source(component)}


def revision_of(component: type) -> dict[str, Any]:
    """``identity_of`` without the name, for values that are the same for several components."""
    return {key: value for key, value in identity_of(component).items() if key != "name"}


def _source(component: type) -> str:
    """sha256 of a project's or package's Python files, of a lone module's, or of a class that was typed in.

    Projects of which the component takes over a class count, too.
    """
    root = sys.modules[component.__module__.partition(".")[0]]
    own = [] if project_of(component.__module__) else [Path(folder) for folder in getattr(root, "__path__", ())]
    projects = dict.fromkeys(project for base in component.__mro__ if (project := project_of(base.__module__)))
    folders = [*own, *projects]
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
