"""The steps of a run, with the hash of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from detkit.config.build import build
from detkit.config.node import Config
from detkit.data.base import Dataset, WithoutTruths
from detkit.data.left_out import refuse_many_left_out
from detkit.errors import ConfigError, DataError
from detkit.registry import STAGES
from detkit.run.artifacts import digest_of
from detkit.run.stage import Ref, Stage
from detkit.system.compute import Compute


@dataclass(frozen=True)
class Step:
    """One stage for one role.

    Args:
        stage: the stage.
        role: the role of its data.
        description: everything that is hashed.
        extra: the part of it that the stage derives itself.
        data: the data set of each role that it reads.
        inputs: the steps it reads from.
        caches: the steps that only save it time.
    """

    stage: Stage
    role: str
    description: Mapping[str, Any]
    extra: Mapping[str, Any]
    data: Mapping[str, Dataset]
    inputs: Mapping[str, Step]
    caches: Mapping[str, Step]

    @property
    def name(self) -> str:
        """The stage's name in the registry."""
        return type(self.stage).__name__

    @property
    def label(self) -> str:
        """The step as messages name it."""
        return f"{self.name.lower()} {self.role.lower()}".strip()

    def dataset(self, role: str) -> Dataset:
        """The data set of a role that the stage declares, without annotations where it reads none."""
        return self.data[role] if self.stage.reads_truths(role) else WithoutTruths(self.data[role])

    @property
    def digest(self) -> str:
        """The hash under which its result lies."""
        return digest_of(self.description)


class Datasets:
    """The data sets of a config's roles, each built once.

    Args:
        config: DATA and PRETRAIN_DATA.
        needs_images: False where only ground truths are looked at.
        on_bad: what becomes of broken images, "stop" or "skip"; empty takes each slot's ON_BAD.
    """

    def __init__(self, config: Config, *, needs_images: bool = True, on_bad: str = "") -> None:
        self._config, self._needs_images, self._on_bad = config, needs_images, on_bad
        self._built: dict[tuple[str, tuple[str, ...]], Dataset] = {}

    def __call__(self, role: str) -> Dataset:
        """The data set of FINETUNE, TRAIN or TEST, or of PRETRAIN_DATA.TRAIN or PRETRAIN_DATA.VAL."""
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
            DataError: it has the words that allow it.
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


def refuse_unfit(config: Config, datasets: Datasets) -> None:
    """Refuses settings and data that a stage cannot work with, before what is slow: compiling, fetching weights.

    Raises:
        ConfigError: settings do not fit each other.
        DataError: a data set cannot be read, or a stage cannot use it.
    """
    stages = [STAGES.get(name)() for name in config.STAGES]
    for stage in stages:
        stage.check(config)
    for stage in stages:
        for role in stage.roles(config):
            stage.check_data(config, {r: datasets(r) for r in stage.datasets(config, role)})


def plan(config: Config, datasets: Datasets, compute: Compute) -> list[Step]:
    """The steps of a config's STAGES in order; ``refuse_unfit`` comes first.

    Raises:
        ConfigError: a stage needs one that is not in STAGES or stands behind it.
        DataError: a data set cannot be read.
    """
    steps: dict[Ref, Step] = {}
    for stage in [STAGES.get(name)() for name in config.STAGES]:
        for role in stage.roles(config):
            step = _step(stage, role, config, datasets, compute, steps)
            steps[step.name, role] = step
    return list(steps.values())


def _step(
    stage: Stage, role: str, config: Config, datasets: Datasets, compute: Compute, steps: Mapping[Ref, Step]
) -> Step:
    inputs = _found(stage, stage.inputs(config, role), config, steps)
    extra = stage.extra(config, role)
    view = config.restricted(stage.sections(config)).selected()
    if "COMPUTE" in view:
        view["COMPUTE"] = compute.name
    for key in stage.neutral:
        section, _, name = key.partition(".")
        view.get(section, {}).pop(name, None)
    data = {r: datasets(r) for r in stage.datasets(config, role)}
    description = {
        "stage": type(stage).__name__,
        "version": stage.version,
        "config": view,
        "extra": extra,
        "inputs": {label: step.digest for label, step in inputs.items()},
        "data": [dataset.fingerprint(truths=stage.reads_truths(r)) for r, dataset in data.items()],
    }
    caches = _found(stage, stage.caches(config, role), config, steps)
    return Step(stage, role, description, extra, data, inputs, caches)


def _found(stage: Stage, wanted: Mapping[str, Ref], config: Config, steps: Mapping[Ref, Step]) -> dict[str, Step]:
    found = {}
    for label, ref in wanted.items():
        if ref not in steps:
            name = type(stage).__name__
            order: Sequence[str] = config.STAGES
            raise ConfigError(f"STAGES: {name} needs {ref[0]} before it, got [{', '.join(order)}]")
        found[label] = steps[ref]
    return found
