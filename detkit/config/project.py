"""Imports the folders of projects, so that their components are registered."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterable
from pathlib import Path

from detkit.config.bases import PROJECT
from detkit.config.check import checked
from detkit.config.paths import found, not_found, recipes_folder
from detkit.config.yaml_file import Leaf
from detkit.errors import ConfigError

BUNDLED = "detkit.projects"
"""The package of the projects that come with detkit."""
BY_PATH = "detkit_project_"
"""How the module of any other project begins."""


def with_projects(leaves: Iterable[Leaf]) -> list[Leaf]:
    """The leaves after the import of all projects that they name; PROJECT becomes one list.

    It has the full path of a project, or ``projects/NAME`` for a project of detkit, wherever detkit is installed.

    Raises:
        ConfigError: if a project does not exist or cannot be imported; it names the project.
    """
    folders: dict[str, str] = {}
    others = []
    for leaf in leaves:
        if leaf.path != PROJECT:
            others.append(leaf)
            continue
        for name in _names(leaf):
            folder = import_named(name, leaf.origin)
            path = folder.relative_to(recipes_folder()).as_posix() if _is_bundled(folder) else str(folder)
            folders[path] = leaf.origin
    return [*others, Leaf(PROJECT, list(folders), ", ".join(folders.values()))] if folders else others


def _names(leaf: Leaf) -> list[str]:
    try:
        names = checked(leaf.value, str | list[str])
    except ValueError as error:
        raise ConfigError(f"{leaf.origin}: PROJECT: {error}") from None
    return [name for name in ([names] if isinstance(names, str) else names) if name]


def import_named(name: str, origin: str) -> Path:
    """Imports the project at a path of a recipe or the command line.

    Args:
        name: the path, for ``detkit.config.paths.found``.
        origin: file:line or option that names it, for messages.

    Returns:
        The full path of the project's folder.

    Raises:
        ConfigError: if there is no such project, or its import fails.
    """
    try:
        folder = found(name, _is_project)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{origin}: PROJECT {name}: no folder can have this name: {error}") from None
    if folder is None:
        where = not_found(name, origin, _is_project)
        raise ConfigError(f"{origin}: PROJECT {name} is no project: it has no __init__.py{where}")
    import_project(folder, origin)
    return folder


def _is_project(folder: Path) -> bool:
    return (folder / "__init__.py").is_file()


def import_project(folder: Path, origin: str) -> None:
    """Imports ``folder/__init__.py`` by path, once in a process.

    A project of detkit is imported as ``detkit.projects.NAME``, and so is a folder of the same name and content, such
    as that of another checkout. A folder with the name and content of an imported project or package is not imported.

    Args:
        folder: full path of the project's folder.
        origin: file:line that names it, for messages.

    Raises:
        ConfigError: if the import fails.
    """
    try:
        if _is_bundled(folder) or _is_copy(folder, _bundled_folder() / folder.name):
            importlib.import_module(f"{BUNDLED}.{folder.name}")
        elif not _is_imported(folder):
            _import_by_path(folder)
    except (Exception, SystemExit) as error:
        raise ConfigError(f"{origin}: PROJECT {folder} cannot be imported: {type(error).__name__}: {error}") from error


def _import_by_path(folder: Path) -> None:
    name = f"{BY_PATH}{folder.name}_{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


def _is_imported(folder: Path) -> bool:
    """Whether a package was read from this folder, or a project or package of the same name from a copy of it."""
    modules = list(sys.modules.items())
    packages = {name: file.parent for name, module in modules if (file := _init_of(module))}
    if folder in [other.resolve() for other in packages.values()]:
        return True
    by_path = f"{BY_PATH}{folder.name}_"
    same_name = [other for name, other in packages.items() if name == folder.name or name.startswith(by_path)]
    return any(_is_copy(folder, other) for other in same_name)


def _init_of(module: object) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file) if file and Path(file).name == "__init__.py" else None


def _is_copy(folder: Path, other: Path) -> bool:
    return folder.name == other.name and other.is_dir() and _sources(folder) == _sources(other)


def _sources(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.py")}


def import_projects(name: str | None) -> None:
    """Imports the project of an option ``--project``; without a name, all projects that come with detkit."""
    if name:
        import_named(name, "--project")
        return
    for folder in bundled_projects():
        import_project(folder, "detkit")


def bundled_projects() -> list[Path]:
    """The folders of the projects that come with detkit."""
    return sorted(folder for folder in _bundled_folder().iterdir() if _is_project(folder))


def _bundled_folder() -> Path:
    return recipes_folder() / "projects"


def _is_bundled(folder: Path) -> bool:
    return folder.parent == _bundled_folder()


def project_of(module: str) -> Path | None:
    """The folder of the project that a module belongs to; None for detkit itself and for installed packages.

    Args:
        module: the full name of an imported module, such as a class's ``__module__``.
    """
    if module.startswith(f"{BUNDLED}."):
        return _bundled_folder() / module.removeprefix(f"{BUNDLED}.").partition(".")[0]
    package = module.partition(".")[0]
    file = getattr(sys.modules.get(package), "__file__", None)
    return Path(file).parent if package.startswith(BY_PATH) and file else None


def import_bundled(import_path: str) -> None:
    """Imports the project of a component by its import path, if it is a project of detkit."""
    folder = project_of(import_path)
    if import_path.startswith(f"{BUNDLED}.") and folder is not None and folder in bundled_projects():
        import_project(folder, import_path)
