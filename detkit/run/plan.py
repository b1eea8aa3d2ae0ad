"""The steps of a run, with the hash of each."""

from __future__ import annotations

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from detkit.config.build import build
from detkit.config.layout import SLOTS
from detkit.config.load import with_settings
from detkit.config.node import Config
from detkit.config.stage_list import StageEntry, stage_entries
from detkit.data.base import Dataset, WithoutTruths
from detkit.data.left_out import refuse_many_left_out
from detkit.errors import ConfigError, DataError
from detkit.registry import EVALUATORS, STAGES, nearest
from detkit.run.artifacts import digest_of
from detkit.run.identity import identity_of
from detkit.run.stage import Need, Reads, Stage
from detkit.system.compute import Compute


@dataclass(frozen=True, eq=False)
class Step:
    """One stage for one role.

    Args:
        stage: the stage.
        id: what the recipe calls the stage.
        role: the role of its data.
        config: the whole config as the stage sees it.
        reads: the settings and data that it reads.
        content: hashed values for the keys of ``reads.content``.
        description: everything that is hashed.
        data: the data set of each role that it reads.
        inputs: the steps that it reads from.
        caches: the steps whose results only save it time.
    """

    stage: Stage
    id: str
    role: str
    config: Config
    reads: Reads
    content: Mapping[str, Any]
    description: Mapping[str, Any]
    data: Mapping[str, Dataset]
    inputs: Mapping[str, Step]
    caches: Mapping[str, Step]

    @property
    def folder(self) -> str:
        """The folder of the stage's artefacts."""
        return type(self.stage).__name__.lower()

    @property
    def label(self) -> str:
        """The name of the step in messages."""
        return f"{self.id.lower()} {self.role.lower()}".strip()

    def dataset(self, role: str) -> Dataset:
        """The data set of a role that the stage reads; without annotations if the stage does not read them."""
        return self.data[role] if role in self.reads.annotated else WithoutTruths(self.data[role])

    @cached_property
    def view(self) -> Config:
        """The part of the config that the stage sees while it runs."""
        return self.config.restricted((*self.reads.keys, "RUNTIME"))

    @cached_property
    def digest(self) -> str:
        """The hash that names its result."""
        return digest_of(self.description)

    @cached_property
    def pass_digest(self) -> str:
        """The hash that steps have in common that can be made in one pass; empty if the stage makes no such passes."""
        slot = self.stage.one_pass
        if not slot:
            return ""
        settings = self.description["settings"]
        common = {key: value for key, value in settings[slot].items() if key != settings[slot]["NAME"]}
        caches = {label: step.digest for label, step in self.caches.items()}
        return digest_of({**self.description, "settings": {**settings, slot: common}, "caches": caches})


class Datasets:
    """The data sets of a config's roles, each built once.

    Args:
        config: holds DATA and PRETRAIN_DATA.
        needs_images: False if only ground truths are read.
        on_bad: "stop" or "skip" at broken images; empty takes each slot's ON_BAD.
    """

    def __init__(self, config: Config, *, needs_images: bool = True, on_bad: str = "") -> None:
        self._config, self._needs_images, self._on_bad = config, needs_images, on_bad
        self._built: dict[tuple[str, tuple[str, ...]], Dataset] = {}

    def __call__(self, role: str) -> Dataset:
        """The data set of FINETUNE, TRAIN, VAL or TEST, or of PRETRAIN_DATA.TRAIN or PRETRAIN_DATA.VAL."""
        slot, splits = self.slot(role), self.splits(role)
        if (slot, splits) not in self._built:
            given = {"on_bad": self._on_bad or self._config[slot].ON_BAD, "needs_images": self._needs_images}
            self._built[slot, splits] = build(self._config, slot, splits=splits, **given)
            self._check_classes(slot)
            if not self._on_bad:
                self.refuse_many_left_out(role, self._built[slot, splits])
        return self._built[slot, splits]

    def refuse_many_left_out(self, role: str, dataset: Dataset) -> None:
        """Refuses a role's data set that left out a larger share of its images than MAX_BAD.

        Raises:
            DataError: if there are more; the message says how to allow it.
        """
        slot = self.slot(role)
        name = f"{slot} ({'+'.join(self.splits(role))})"
        refuse_many_left_out(dataset, name, slot, self._config[slot].MAX_BAD)

    def slot(self, role: str) -> str:
        """The config key of a role's data set: DATA or PRETRAIN_DATA."""
        return role.rpartition(".")[0] or "DATA"

    def splits(self, role: str) -> tuple[str, ...]:
        """The splits of a role."""
        splits = self._config[self.slot(role)][role.rpartition(".")[2]]
        return (splits,) if isinstance(splits, str) else tuple(splits)

    def _check_classes(self, slot: str) -> None:
        """A label means the same class in every split."""
        (first, names), *others = [(s, d.class_names) for (k, s), d in self._built.items() if k == slot]
        for splits, own in others:
            if own != names:
                raise DataError(
                    f"{slot}: the classes of {'+'.join(splits)} ({', '.join(own)}) are not those of {'+'.join(first)} "
                    f"({', '.join(names)}); list them in the config"
                )


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


def refuse_unfit(config: Config, datasets: Datasets) -> None:
    """Refuses settings and data that a stage cannot use, before slow work such as compiling or downloading weights.

    Raises:
        ConfigError: if the stages or their settings do not fit each other.
        DataError: if a data set cannot be read, or a stage cannot use it.
    """
    planned = planned_stages(config)
    for one in planned:
        one.stage.check(one.config)
    for one in planned:
        for role in one.roles:
            roles = one.stage.reads(one.config, role).roles
            one.stage.check_data(one.config, {r: datasets(r) for r in roles})


def plan(config: Config, datasets: Datasets, compute: Compute) -> list[Step]:
    """The steps of a config's STAGES in order. Call ``refuse_unfit`` first.

    Raises:
        ConfigError: if the stages or their settings do not fit each other.
        DataError: if a data set cannot be read.
    """
    planned = planned_stages(config)
    steps: dict[tuple[str, str], Step] = {}
    for one in planned:
        for role in one.roles:
            steps[one.entry.id, role] = _step(one, role, datasets, compute, steps)
    return list(steps.values())


def _order(role: str) -> int:
    """Roles in the order in which a recipe uses them, in any order of requests."""
    known = ("FINETUNE", "TRAIN", "VAL", "TEST")
    return known.index(role) if role in known else -1


def _step(
    one: PlannedStage, role: str, datasets: Datasets, compute: Compute, steps: Mapping[tuple[str, str], Step]
) -> Step:
    reads = one.stage.reads(one.config, role)
    content = {key: make() for key, make in reads.content.items()}
    data = {r: datasets(r) for r in reads.roles}
    inputs: dict[str, Step] = {}
    caches: dict[str, Step] = {}
    for label, (giver, need) in one.givers[role].items():
        (caches if need.only_saves_time else inputs)[label] = steps[giver.entry.id, need.role]
    settings = _hashed(one.config, reads, compute)
    for cache in caches.values():
        _refuse_other_cache(one, cache, inputs, settings)
    description = {
        "stage": identity_of(type(one.stage)),
        "settings": settings,
        "parts": _parts(one.config, reads),
        "content": content,
        "inputs": {label: step.digest for label, step in inputs.items()},
        "data": [dataset.fingerprint(truths=r in reads.annotated) for r, dataset in data.items()],
    }
    return Step(one.stage, one.entry.id, role, one.config, reads, content, description, data, inputs, caches)


def _refuse_other_cache(
    one: PlannedStage, cache: Step, inputs: Mapping[str, Step], settings: Mapping[str, Any]
) -> None:
    """A result that only saves time is not hashed, so it must be made from the results and settings of its reader.

    Raises:
        ConfigError: if it is of another network, other proposals or other settings.
    """
    for label in cache.inputs.keys() & inputs.keys():
        if cache.inputs[label] is not inputs[label]:
            raise ConfigError(
                f"STAGES: {one.entry.id} reads the {label} of {inputs[label].id}, but what {cache.id} keeps for it "
                f"comes from {cache.inputs[label].id}; put {cache.id} behind {inputs[label].id}"
            )
    kept = cache.description["settings"]
    for key in kept.keys() & settings.keys():
        if kept[key] != settings[key]:
            raise ConfigError(
                f"STAGES: {one.entry.id} has other settings in {key} than {cache.id}, which keeps results for it; set "
                "them alike in WITH, or store no features (FEATURES.STORE stream)"
            )
    asked = cache.stage.reads(one.config, cache.role).content
    if {key: content() for key, content in asked.items()} != cache.content:
        raise ConfigError(
            f"STAGES: {one.entry.id} reads other layers or regions than {cache.id} keeps for it; set them alike in "
            "WITH, name the layers in FEATURES.LAYERS, or store no features (FEATURES.STORE stream)"
        )


def _hashed(config: Config, reads: Reads, compute: Compute) -> dict[str, Any]:
    """The settings that are hashed, COMPUTE as resolved."""
    view = config.restricted(reads.settings).plain()
    if "COMPUTE" in view:
        view["COMPUTE"] = compute.name
    for key in (*reads.content, *reads.not_hashed):
        *above, name = key.split(".")
        functools.reduce(lambda node, part: node.get(part, {}), above, view).pop(name, None)
    return view


def _parts(config: Config, reads: Reads) -> dict[str, Any]:
    """The code of the components whose settings are hashed."""
    sections = {key.removesuffix(".*") for key in reads.settings}
    chosen = {slot: spec.registry.get(config[slot].NAME) for slot, spec in SLOTS.items() if slot in sections}
    if "EVALUATORS" in sections:
        chosen |= {f"EVALUATION.{name}": EVALUATORS.get(name) for name in config.EVALUATORS}
    return {key: identity_of(component) for key, component in chosen.items()}
