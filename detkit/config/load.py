"""From a YAML file, its bases and the command line to a frozen config."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import detkit
from detkit.components import load_components
from detkit.config.check import checked
from detkit.config.layout import SLOTS, Tree, layout
from detkit.config.node import Config
from detkit.config.project import import_project
from detkit.config.renamed import RENAMED
from detkit.config.schema import Field
from detkit.config.stage_list import StageEntry, stage_entries
from detkit.config.yaml_file import Leaf, parse_value, read_leaves
from detkit.errors import ConfigError
from detkit.registry import DATASETS, EVALUATORS, nearest

COMMAND_LINE = "command line"


def load_config(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """The config of a file, with overrides from the command line on top.

    Args:
        path: looked for in the working folder, then among the recipes that came with detkit, as are its bases.
        overrides: ``KEY VALUE`` pairs and ``KEY=VALUE`` words, values read as YAML.

    Raises:
        ConfigError: naming file and line, key, value and what is allowed.
    """
    load_components()
    file = find_config(Path(path))
    leaves = [_with_project(leaf) for leaf in (*_with_bases(file), *_override_leaves(overrides))]
    return config_of(leaves)


def _with_project(leaf: Leaf) -> Leaf:
    """The same leaf; one that names a project after its import, with the folder's full path."""
    if leaf.path != ("PROJECT",) or not leaf.value:
        return leaf
    base = Path.cwd() if leaf.origin == COMMAND_LINE else Path(leaf.origin.rpartition(":")[0]).parent
    try:
        folder = (base / str(leaf.value)).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise ConfigError(f"{leaf.origin}: PROJECT {leaf.value}: no folder can have this name: {error}") from None
    import_project(folder, leaf.origin)
    return replace(leaf, value=str(folder))


def config_of(leaves: Iterable[Leaf]) -> Config:
    """The frozen config in which ``leaves`` stand over the defaults; later leaves win.

    Raises:
        ConfigError: an unknown key, a wrong value or an unknown component.
    """
    tree = layout()
    values = _defaults(tree)
    origins: dict[str, str] = {}
    for leaf in leaves:
        _set(tree, values, leaf)
        origins[leaf.key] = leaf.origin
    for slot, spec in SLOTS.items():
        _known(spec.registry.get, values[slot]["NAME"], origins.get(f"{slot}.NAME"))
    if "EVALUATORS" not in origins:
        values["EVALUATORS"] = list(DATASETS.get(values["DATA"]["NAME"]).evaluators)
    for name in values["EVALUATORS"]:
        _known(EVALUATORS.get, name, origins.get("EVALUATORS"))
    _known(stage_entries, values["STAGES"], origins.get("STAGES"))
    config = Config.of(values)
    for entry in stage_entries(values["STAGES"]):
        with_settings(config, entry)
    return config


def with_settings(config: Config, entry: StageEntry) -> Config:
    """The config as one stage of STAGES sees it: with the keys that its entry sets for it alone.

    Raises:
        ConfigError: an unknown key or a wrong value.
    """
    if not entry.settings:
        return config
    tree, values = layout(), config.plain()
    for key, value in entry.settings.items():
        _set(tree, values, Leaf(tuple(key.split(".")), value, f"STAGES: {entry.id}: WITH"))
    return Config.of(values, config.memory)


def find_config(path: Path) -> Path:
    """The config file, from the working folder or from the installed recipes.

    Raises:
        ConfigError: it is in neither; the message lists similar recipes.
    """
    installed = recipes_folder()
    for candidate in (path, installed / path):
        if candidate.is_file():
            return candidate.resolve()
    names = sorted(p.relative_to(installed).as_posix() for p in installed.glob("projects/*/[!_]*.yaml"))
    close = difflib.get_close_matches(path.as_posix(), names, n=1)
    hint = f"Did you mean {close[0]}?" if close else f"Recipes: {', '.join(names) or 'none found'}."
    raise ConfigError(f"config {path}: no such file in {Path.cwd()} or {installed}. {hint}")


def recipes_folder() -> Path:
    """The folder that holds ``projects/`` and ``configs/``: inside an installed package, beside it in a checkout."""
    package = Path(detkit.__file__).resolve().parent
    bundled = package / "recipes"
    return bundled if (bundled / "projects").is_dir() else package.parent


def _with_bases(file: Path) -> list[Leaf]:
    own = read_leaves(file)
    merged: dict[str, Leaf] = {}
    for leaf in own:
        if leaf.path != ("_BASE_",):
            continue
        for name in leaf.value if isinstance(leaf.value, list) else [leaf.value]:
            base = _find_base(file.parent, str(name), leaf.origin)
            for inherited in read_leaves(base):
                if inherited.path == ("_BASE_",):
                    raise ConfigError(f"{inherited.origin}: a base has no bases of its own; name them in {file.name}")
                twice = merged.get(inherited.key)
                if twice is not None:
                    raise ConfigError(
                        f"{inherited.origin}: {inherited.key} is set by two bases, also in {twice.origin}"
                    )
                merged[inherited.key] = inherited
    return [*merged.values(), *(leaf for leaf in own if leaf.path != ("_BASE_",))]


def _find_base(folder: Path, name: str, origin: str) -> Path:
    for candidate in (folder / name, recipes_folder() / name):
        if candidate.is_file():
            return candidate.resolve()
    raise ConfigError(f"{origin}: _BASE_ {name}: no such file in {folder} or {recipes_folder()}")


def _override_leaves(words: Sequence[str]) -> list[Leaf]:
    leaves = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        key, equals, text = word.partition("=")
        if not equals:
            if not rest:
                raise ConfigError(f"{COMMAND_LINE}: {key} has no value; write {key}=VALUE")
            text = rest.pop(0)
        leaves.append(Leaf(tuple(key.split(".")), parse_value(text), COMMAND_LINE))
    return leaves


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
            if leaf.key in RENAMED:
                raise ConfigError(f"{leaf.origin}: unknown key {leaf.key}. {RENAMED[leaf.key]}")
            where = f"{above}." if above else ""
            slot = SLOTS.get(leaf.path[0])
            kind = f" ({slot.registry.name} has: {', '.join(slot.registry.names())})" if slot and depth == 1 else ""
            raise ConfigError(f"{leaf.origin}: unknown key {where}{key}.{nearest(key, known) or _keys(known)}{kind}")
        known = known[key]
    if isinstance(known, dict):
        if leaf.value in ({}, None):
            return
        raise ConfigError(f"{leaf.origin}: {leaf.key} holds keys ({_keys(known).strip()}), got {leaf.value!r}")
    for key in leaf.path[:-1]:
        values = values[key]
    try:
        values[leaf.path[-1]] = _listed(checked(leaf.value, known.annotation))
    except ValueError as error:
        raise ConfigError(f"{leaf.origin}: {leaf.key}: {error}") from None


def _keys(known: Tree) -> str:
    names = sorted(known)
    return " Known here: " + ", ".join(names[:20]) + (", ..." if len(names) > 20 else ".")


def _known(get: Any, name: Any, origin: str | None) -> None:
    try:
        get(name)
    except ConfigError as error:
        raise ConfigError(f"{origin}: {error}" if origin else str(error)) from None
