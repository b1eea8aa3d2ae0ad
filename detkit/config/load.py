"""A frozen config from a YAML file, its bases and the command line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from detkit.components import load_components
from detkit.config.bases import leaves_of
from detkit.config.check import checked
from detkit.config.layout import DEFAULT, SLOTS, Tree, layout
from detkit.config.node import Config
from detkit.config.overrides import override_leaves
from detkit.config.paths import found, looked_in, recipes_folder
from detkit.config.project import with_projects
from detkit.config.recognised import take_recognised
from detkit.config.renamed import RENAMED
from detkit.config.schema import Field
from detkit.config.stage_list import StageEntry, stage_entries
from detkit.config.yaml_file import Leaf
from detkit.errors import ConfigError
from detkit.registry import DATASETS, EVALUATORS, nearest

OF_THE_RUN = {"DATA", "PRETRAIN_DATA", "RUNTIME", "COMPUTE", "ARTIFACTS", "OUTPUT_DIR", "STAGES", "PROJECT", "SEED"}
"""Sections that are the same for all stages."""


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """The config of a file, with overrides from the command line on top.

    Args:
        path: the file, in the working folder or among the recipes of detkit. Paths in the file follow the rule of
            ``detkit.config.paths``.
        overrides: ``KEY VALUE`` pairs and ``KEY=VALUE`` words; values are read as YAML.

    Raises:
        ConfigError: if the config cannot be used; it names file and line, key, value and what is allowed.
    """
    load_components()
    file = find_config(Path(path))
    return config_of(with_projects([*leaves_of(file), *override_leaves(overrides)]))


def config_of(leaves: Iterable[Leaf]) -> Config:
    """The frozen config of ``leaves`` on top of the defaults; later leaves win.

    Raises:
        ConfigError: if a key or component is unknown, or a value is wrong.
    """
    tree = layout()
    values = _defaults(tree)
    origins: dict[str, str] = {}
    for leaf in leaves:
        _set(tree, values, leaf)
        origins.pop(leaf.key, None)  # behind those that were set before
        origins[leaf.key] = leaf.origin
    take_recognised(values["DATA"], origins)
    for slot, spec in SLOTS.items():
        _known(spec.registry.get, values[slot]["NAME"], origins.get(f"{slot}.NAME"))
    own = DATASETS.get(values["DATA"]["NAME"]).evaluators
    asked = values["EVALUATORS"]
    more = [name for name in own if name not in asked]
    values["EVALUATORS"] = [name for word in asked for name in (more if word == DEFAULT else [word])]
    for name in values["EVALUATORS"]:
        _known(EVALUATORS.get, name, origins.get("EVALUATORS"))
    _known(stage_entries, values["STAGES"], origins.get("STAGES"))
    config = Config.of(values)
    for entry in stage_entries(values["STAGES"]):
        with_settings(config, entry)
    return config


def with_settings(config: Config, entry: StageEntry) -> Config:
    """The config of one stage of STAGES, with the keys that its entry sets for this stage only.

    Raises:
        ConfigError: if a key is unknown or a value is wrong.
    """
    if not entry.settings:
        return config
    tree, values = layout(), config.plain()
    for key, value in entry.settings.items():
        if key.partition(".")[0] in OF_THE_RUN and key != "DATA.TRAIN_DIFFICULT":
            raise ConfigError(f"STAGES: {entry.id}: WITH: {key} holds for the whole run; set it outside of STAGES")
        _set(tree, values, Leaf(tuple(key.split(".")), value, f"STAGES: {entry.id}: WITH"))
    return Config.of(values, config.memory)


def find_config(path: Path) -> Path:
    """The config file, from the working folder or from the installed recipes.

    Raises:
        ConfigError: if it is in neither; the message lists similar recipes.
    """
    if (file := found(path)) is not None:
        return file
    installed = recipes_folder()
    names = sorted(p.relative_to(installed).as_posix() for p in installed.glob("projects/*/[!_]*.yaml"))
    close = difflib.get_close_matches(path.as_posix(), names, n=1)
    hint = f"Did you mean {close[0]}?" if close else f"Recipes: {', '.join(names) or 'none found'}."
    raise ConfigError(f"config {path}: no such file{looked_in(path)}. {hint}")


def _defaults(tree: Tree) -> dict[str, Any]:
    """Defaults in the key's own type, so that 20 and 20.0 are one value to every hash."""
    return {
        k: _defaults(v) if isinstance(v, dict) else _listed(checked(v.default, v.annotation)) for k, v in tree.items()
    }


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _set(tree: Tree, values: dict[str, Any], leaf: Leaf) -> None:
    known: Field | Tree = tree
    for depth, key in enumerate(leaf.path):
        above = ".".join(leaf.path[:depth])
        if not isinstance(known, dict):
            raise ConfigError(f"{leaf.origin}: {above} takes a value, not the key {key}")
        if key not in known:
            full = ".".join(leaf.path[: depth + 1])
            raise ConfigError(f"{leaf.origin}: unknown key {full}. {_instead(tree, known, leaf, depth)}")
        known = known[key]
    if isinstance(known, dict):
        if leaf.value in ({}, None):
            return
        raise ConfigError(f"{leaf.origin}: {leaf.key} holds keys ({_keys(known)}), got {leaf.value!r}")
    for key in leaf.path[:-1]:
        values = values[key]
    try:
        values[leaf.path[-1]] = _listed(checked(leaf.value, known.annotation))
    except ValueError as error:
        raise ConfigError(f"{leaf.origin}: {leaf.key}: {error}") from None


def _instead(tree: Tree, known: Tree, leaf: Leaf, depth: int) -> str:
    """A hint for a leaf whose key at ``depth`` is unknown: what to write instead."""
    if (renamed := RENAMED.get(".".join(leaf.path[: depth + 1]))) is not None:
        return renamed
    key, rest = leaf.path[depth], leaf.path[depth + 1 :]
    places = [path for path in _paths(tree) if path[-1].lower() == key.lower()]
    # First those of the same section; a key of a section is meant more often than one of a component.
    places.sort(key=lambda path: (path[:-1] != leaf.path[:depth], len(path)))
    first, *others = [".".join((*path, *rest)) for path in places] or [""]
    if first:
        return f"Did you mean {first}?" + (f" There is also {', '.join(others)}." if others else "")
    slot = SLOTS.get(leaf.path[0])
    kind = f" ({slot.registry.name} has: {', '.join(slot.registry.names())})" if slot and depth == 1 else ""
    return (nearest(key, known).strip() or _keys(known)) + kind


def _paths(tree: Tree, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every key, and of the sections and components that hold keys."""
    for key, held in tree.items():
        yield (*above, key)
        if isinstance(held, dict):
            yield from _paths(held, (*above, key))


def _keys(known: Tree) -> str:
    names = sorted(known)
    return "Known here: " + ", ".join(names[:20]) + (", ..." if len(names) > 20 else ".")


def _known(get: Any, name: Any, origin: str | None) -> None:
    try:
        get(name)
    except ConfigError as error:
        raise ConfigError(f"{origin}: {error}" if origin else str(error)) from None
