"""The entries of STAGES."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from detkit.errors import ConfigError
from detkit.registry import STAGES, nearest

KEYS = ("NAME", "ID", "FROM", "WITH")


@dataclass(frozen=True)
class StageEntry:
    """One stage of a recipe.

    Args:
        name: the stage's name in the registry.
        id: its name in the recipe; by default ``name``.
        sources: ID of the stage that gives a need, by the stage's own name for it; other needs come from the nearest
            stage.
        settings: config keys that are set for this stage only.
    """

    name: str
    id: str
    sources: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


def stage_entries(entries: Sequence[Any]) -> list[StageEntry]:
    """The stages of a recipe's STAGES: a name each, or ``{NAME: Finetune, ID: second, FROM: {...}, WITH: {...}}``.

    Raises:
        ConfigError: if an entry is neither, its stage is not registered, or two entries have the same ID.
    """
    found: list[StageEntry] = []
    for number, given in enumerate(entries):
        entry = _entry(given, f"STAGES[{number}]")
        STAGES.get(entry.name)
        if any(entry.id.lower() == other.id.lower() for other in found):
            raise ConfigError(
                f"STAGES: {entry.id} stands twice; give the second one an ID of its own: "
                f"{{NAME: {entry.name}, ID: second}}"
            )
        known = {other.id.lower(): other.id for other in found}
        for label, source in entry.sources.items():
            if str(source).lower() not in known:
                raise ConfigError(
                    f"STAGES: {entry.id} takes its {label} from {source!r}, which does not stand before it."
                    f"{nearest(str(source), known.values())} Before it: {', '.join(known.values()) or 'nothing'}."
                )
        found.append(replace(entry, sources={label: known[str(s).lower()] for label, s in entry.sources.items()}))
    return found


def _entry(given: Any, place: str) -> StageEntry:
    if isinstance(given, str):
        return StageEntry(given, given)
    if not isinstance(given, Mapping) or not isinstance(given.get("NAME"), str):
        raise ConfigError(f"{place}: expected a stage's name or {{NAME: ..., ID: ...}}, got {given!r}")
    for key in given:
        if key not in KEYS:
            raise ConfigError(f"{place}: unknown key {key}.{nearest(str(key), KEYS)} Known here: {', '.join(KEYS)}.")
    identity = given.get("ID", given["NAME"])
    if not isinstance(identity, str) or not identity.isidentifier():
        raise ConfigError(f"{place}: ID: expected a word of letters, digits and _, got {identity!r}")
    parts = {key: given.get(key, {}) for key in ("FROM", "WITH")}
    for key, part in parts.items():
        if not isinstance(part, Mapping) or not all(isinstance(name, str) for name in part):
            raise ConfigError(f"{place}: {key}: expected keys and values, got {part!r}")
    return StageEntry(given["NAME"], identity, parts["FROM"], parts["WITH"])
