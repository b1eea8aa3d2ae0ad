"""Models of installed packages, by name."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from detkit.errors import ModelError
from detkit.registry import nearest

GROUP = "detkit.models"
"""The entry points of models: each names a path, or a function that returns one."""


def installed_models() -> dict[str, EntryPoint]:
    """The models of installed packages: name -> entry point that returns the folder."""
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def model_folder(model: str | Path) -> Path:
    """The folder of a model: the path itself if it exists or is no plain name, else that of an installed package.

    Raises:
        ModelError: if a plain name is neither a folder nor an installed model, or the package fails to return a folder.
    """
    path = Path(model)
    if path.exists() or path.parent != Path() or path.is_absolute():
        return path
    known = installed_models()
    if path.name not in known:
        others = f" Installed models: {', '.join(sorted(known)) or 'none'}."
        raise ModelError(
            f"model {path.name}: no such folder, and no installed model.{nearest(path.name, known)}{others} Give the "
            "folder that training wrote, RUN/model"
        )
    try:
        told = known[path.name].load()
        return Path(told() if callable(told) else told)
    except Exception as error:
        raise ModelError(
            f"model {path.name}: its package cannot be used: {type(error).__name__}: {error}; install it again"
        ) from error
