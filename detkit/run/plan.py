"""The steps of a run, with the hash of each."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from detkit.config.layout import SLOTS
from detkit.config.node import Config
from detkit.data.base import Dataset, WithoutTruths
from detkit.errors import ConfigError
from detkit.registry import EVALUATORS
from detkit.run.artifacts import digest_of
from detkit.run.datasets import Datasets
from detkit.run.givers import PlannedStage, planned_stages
from detkit.run.identity import identity_of
from detkit.run.stage import Reads, Stage
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
