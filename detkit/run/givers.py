"""The stages of a recipe, and for each need of a stage the earlier stage that gives it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from detkit.config.load import with_settings
from detkit.config.node import Config
from detkit.config.stage_list import StageEntry, stage_entries
from detkit.errors import ConfigError
from detkit.registry import STAGES, nearest
from detkit.run.stage import Need, Stage


@dataclass(frozen=True, eq=False)
class PlannedStage:
    """A stage of STAGES, with the roles that it must work on.

    Args:
        entry: its entry in the recipe.
        stage: the stage.
        config: the config of this stage.
        roles: the roles that later stages need, in order; if none needs it, the roles of the stage itself.
        givers: for each role, the stage that gives each need, by this stage's own name for it.
    """

    entry: StageEntry
    stage: Stage
    config: Config
    roles: list[str] = field(default_factory=list)
    givers: dict[str, dict[str, tuple[PlannedStage, Need]]] = field(default_factory=dict)

    @cached_property
    def heads(self) -> Mapping[str, str]:
        """The heads that the stage leaves, and the layer that each reads; computed once."""
        return self.stage.heads(self.config)


def planned_stages(config: Config, *, complete: bool = True) -> list[PlannedStage]:
    """The stages of a recipe with their roles, found backwards from the stages that no later stage needs.

    Args:
        config: the recipe.
        complete: whether each need must be met; False if only the data are of interest.

    Raises:
        ConfigError: if STAGES is empty, or no earlier stage gives what a stage needs.
    """
    if not config.STAGES:
        raise ConfigError("STAGES: nothing to do; list the stages of the run, for example as projects/rcnn/_paper.yaml")
    planned = [
        PlannedStage(entry, STAGES.get(entry.name)(), with_settings(config, entry))
        for entry in stage_entries(config.STAGES)
    ]
    for place in reversed(range(len(planned))):
        _find_givers(planned[place], planned[:place], complete)
    return planned


def _find_givers(one: PlannedStage, before: Sequence[PlannedStage], complete: bool) -> None:
    """Sets the roles of a stage whose readers have their roles, and finds the earlier stages that give its needs."""
    one.roles.extend(one.stage.roles(one.config) if not one.roles else ())
    one.roles.sort(key=_order)
    needed: set[str] = set()
    for role in one.roles:
        one.givers[role] = {}
        for label, need in one.stage.needs(one.config, role).items():
            needed.add(label)
            giver = _giver(one, label, need, before)
            if giver is None and complete and not need.only_saves_time:
                raise _unmet(one, need, before)
            if giver is None:
                continue
            one.givers[role][label] = (giver, need)
            if need.role not in giver.roles:
                giver.roles.append(need.role)
    _refuse_unneeded_sources(one.entry, needed)


def _refuse_unneeded_sources(entry: StageEntry, needed: Collection[str]) -> None:
    """Refuses a FROM that names no need of the stage."""
    for label in entry.sources:
        if label not in needed:
            raise ConfigError(
                f"STAGES: {entry.id}: FROM: it needs no {label!r}.{nearest(label, needed)} "
                f"It needs: {', '.join(sorted(needed)) or 'nothing'}."
            )


def _giver(one: PlannedStage, label: str, need: Need, before: Sequence[PlannedStage]) -> PlannedStage | None:
    """The nearest earlier stage that gives a need, or the one that the recipe names for it; None if there is none."""
    source = one.entry.sources.get(label)
    for other in reversed(before):
        if source not in (None, other.entry.id) or other.stage.gives != need.kind:
            continue
        if need.heads.items() <= other.heads.items():
            return other
    return None


def _unmet(one: PlannedStage, need: Need, before: Sequence[PlannedStage]) -> ConfigError:
    heads = ", ".join(f"{head} on {layer}" for head, layer in need.heads.items())
    wanted = f"a {need.kind} with the head {heads} ({need.because})" if heads else need.kind
    of = f" of {need.role}" if need.role else ""
    known = [name for name in STAGES.names() if STAGES.get(name).gives == need.kind]
    order = ", ".join(other.entry.id for other in (*before, one))
    return ConfigError(
        f"STAGES: {one.entry.id} needs {wanted}{of}, which no stage before it gives: "
        f"[{order}]. Stages that give {need.kind}: {', '.join(known) or 'none registered'}."
    )


def _order(role: str) -> int:
    """Roles in the order in which a recipe uses them, in any order of requests."""
    known = ("FINETUNE", "TRAIN", "VAL", "TEST")
    return known.index(role) if role in known else -1
