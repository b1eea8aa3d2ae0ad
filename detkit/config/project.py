"""Imports the folder of a project, so that its components are registered."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path

from detkit.errors import ConfigError


def import_project(folder: Path, origin: str) -> None:
    """Imports ``folder/__init__.py`` by path, once in a process.

    Args:
        folder: the project's folder.
        origin: file:line that named it, for messages.

    Raises:
        ConfigError: no such project, or an error while it was imported.
    """
    init = folder / "__init__.py"
    if not init.is_file():
        raise ConfigError(f"{origin}: PROJECT {folder} is no project: it has no __init__.py")
    name = f"detkit_project_{folder.name}_{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(name, init, submodule_search_locations=[str(folder)])
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise ConfigError(f"{origin}: PROJECT {folder} cannot be imported: {type(error).__name__}: {error}") from error
