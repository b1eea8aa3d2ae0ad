"""A config file and its bases."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from detkit.config.paths import found, located, not_found
from detkit.config.yaml_file import Leaf, read_leaves
from detkit.errors import ConfigError

BASE, PROJECT = ("_BASE_",), ("PROJECT",)


@dataclass(frozen=True)
class _File:
    """A file that was read.

    Args:
        leaves: its own values, without ``_BASE_``.
        stands_on: its bases, and their bases.
    """

    leaves: list[Leaf]
    stands_on: frozenset[Path]


def leaves_of(file: Path) -> list[Leaf]:
    """Every value of a config file and of its bases, each key once. A file overrides its bases.

    PROJECT is an exception: the entries of all files are kept. A base that is reached twice is read once.

    Args:
        file: full path of the file.

    Raises:
        ConfigError: if a base is missing, is its own base, or sets a key that another base also sets.
    """
    files: dict[Path, _File] = {}
    _read(file, files, (file,))
    projects: list[Leaf] = []
    merged: dict[str, tuple[Leaf, Path]] = {}
    for path, one in files.items():
        for leaf in one.leaves:
            if leaf.path == PROJECT:
                projects.append(leaf)
                continue
            before, where = merged.get(leaf.key, (leaf, path))
            if where != path and where not in one.stands_on:
                raise ConfigError(f"{leaf.origin}: {leaf.key} is set by two bases, also in {before.origin}")
            merged[leaf.key] = leaf, path
    return [*projects, *(leaf for leaf, _ in merged.values())]


def _read(file: Path, files: dict[Path, _File], way: tuple[Path, ...]) -> None:
    """Adds a file to ``files`` after all of its bases; ``way`` is the chain of files that led to it, itself last."""
    if file in files:
        return
    own = [located(leaf) for leaf in read_leaves(file)]
    stands_on: set[Path] = set()
    for leaf in own:
        if leaf.path != BASE:
            continue
        for name in leaf.value if isinstance(leaf.value, list) else [leaf.value]:
            base = found(str(name))
            if base is None:
                raise ConfigError(f"{leaf.origin}: _BASE_ {name}: no such file{not_found(str(name), leaf.origin)}")
            if base in way:
                circle = " -> ".join(str(path) for path in (*way[way.index(base) :], base))
                raise ConfigError(f"{leaf.origin}: _BASE_ {name}: the files stand on each other: {circle}")
            _read(base, files, (*way, base))
            stands_on |= {base, *files[base].stands_on}
    files[file] = _File([leaf for leaf in own if leaf.path != BASE], frozenset(stands_on))
