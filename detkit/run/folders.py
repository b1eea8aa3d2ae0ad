"""Checks that a run does not overwrite files of others."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from detkit.config import load_config
from detkit.config.yaml_file import value_text
from detkit.errors import ConfigError
from detkit.run.last_run import PLAN, has_plan
from detkit.run.run_folder import CONFIG, OUTPUTS, RECORDS
from detkit.run.runner import Run
from detkit.system.world import ALONE, World


def run_of(file: Path, words: Sequence[str], world: World = ALONE) -> Run:
    """The run of a config file with overrides on top, in one process or in several.

    The config.yaml that a run wrote is the config of that run: outputs then go to the folder of this file.

    Args:
        file: the config file.
        words: overrides as on the command line.
        world: the processes that work on it.
    """
    own = ["OUTPUT_DIR", value_text(str(file.parent))] if is_own_config(file) else []
    return Run.of(load_config(file, [*own, *words]), file.stem, world)


def refuse_folders(run: Run, recipe: Path) -> None:
    """Refuses a run whose outputs would replace other files, before anything is written.

    Args:
        run: the planned run.
        recipe: its config file.

    Raises:
        ConfigError: if the run reads from a folder or file that it replaces, if its folder is inside the data, or if
            its folder holds files that no run has written.
    """
    folder = run.folder
    if recipe.resolve() == (folder / CONFIG).resolve() and not is_own_config(recipe):
        raise ConfigError(
            f"{recipe}: the run would write its resolved config over this recipe; copy the recipe to another place, or "
            "choose another OUTPUT_DIR"
        )
    settings = run.config.selected()
    for key, text in (("--config", str(recipe)), *_texts(settings), ("ARTIFACTS", str(run.store.root))):
        output = _output_that_holds(Path(text), folder)
        if output:
            raise ConfigError(f"{key}: {text} lies in {folder / output}, which the run replaces; choose another place")
    for slot in ("DATA", "PRETRAIN_DATA"):
        name = settings[slot]["NAME"]
        for key, text in _texts(settings[slot].get(name, {}), f"{slot}.{name}"):
            if text and folder.resolve().is_relative_to(Path(text).resolve()):
                raise ConfigError(
                    f"OUTPUT_DIR: {folder} lies in {key}, {text}, where its pictures would become part of the "
                    "data; choose a folder outside"
                )
    foreign = [] if has_plan(folder) else [name for name in (*OUTPUTS, *RECORDS) if os.path.lexists(folder / name)]
    if foreign:
        raise ConfigError(
            f"OUTPUT_DIR: {folder / foreign[0]} is in the way, and no {PLAN} shows that a run has written it; choose "
            "another folder, or move it away"
        )


def is_own_config(file: Path) -> bool:
    """Whether a config file was written by a run into its folder."""
    return file.name == CONFIG and file.is_file() and has_plan(file.parent)


def _output_that_holds(path: Path, folder: Path) -> str:
    """The run's output that the path is or lies in, while it is made and removed too; empty for none."""
    path, folder = path.resolve(), folder.resolve()
    for part in (path, *path.parents):
        name = part.name.removesuffix(".partial").removesuffix(".removed")
        if part.parent == folder and name in OUTPUTS:
            return name
    return ""


def _texts(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """(key, value) of every setting that is a text or a list of them, and so may be a path."""
    for key, value in tree.items():
        name = f"{path}.{key}" if path else key
        if isinstance(value, Mapping):
            yield from _texts(value, name)
        else:
            yield from (
                (name, text) for text in (value if isinstance(value, list) else [value]) if isinstance(text, str)
            )
