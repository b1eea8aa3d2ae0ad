"""Plans of quick.yaml on a few scenes, and which of their steps a changed setting makes again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from detkit.config import load_config
from detkit.config.node import Config
from detkit.registry import ALL_REGISTRIES
from detkit.run.datasets import Datasets
from detkit.run.last_run import LastRun, differences, keep_plan
from detkit.run.plan import Step, plan
from detkit.system.compute import Compute

QUICK = Path(__file__).parents[2] / "projects" / "rcnn" / "quick.yaml"
SMALL = [f"{slot}.Shapes.{key}=2" for slot in ("DATA", "PRETRAIN_DATA") for key in ("VAL_IMAGES", "TEST_IMAGES")]
SMALL += ["DATA.Shapes.TRAIN_IMAGES=2", "PRETRAIN_DATA.Shapes.TRAIN_IMAGES=8", "COMPUTE.DTYPE=float32"]
SMALL += ["DATA.Shapes.WIDTH=64", "PRETRAIN_DATA.Shapes.WIDTH=64"]

STEPS = {
    "P": "pretrain",
    "a": "propose finetune",
    "b": "propose train",
    "c": "propose test",
    "F": "finetune",
    "x": "extract train",
    "y": "extract test",
    "C": "classify train",
    "R": "regress train",
    "K": "calibrate train",
    "D": "detect test",
    "E": "evaluate test",
}
"""The steps of the config, by the letters that the table has for them."""


def leaves(tree: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Every key of a config with its value."""
    found = {}
    for key, value in tree.items():
        name = f"{path}.{key}".strip(".")
        found.update(leaves(value, name) if isinstance(value, Mapping) and value else {name: value})
    return found


def quick(*words: str) -> Config:
    return load_config(QUICK, [*SMALL, *words])


def steps_of(config: Config) -> list[Step]:
    return plan(config, Datasets(config), Compute.resolve(dtype=config.COMPUTE.DTYPE, device="cpu"))


def of_the_core(keys: Iterable[str]) -> set[str]:
    """The keys without those of parts that bundled projects bring, where another test has imported one."""
    brought = set()
    for registry in ALL_REGISTRIES:
        for name in registry.names():
            component = registry.get(name)
            if component.__module__.startswith("detkit.projects."):
                brought |= {name, *getattr(component, "settings", {})}
    return {key for key in keys if not brought & set(key.split("."))}


@contextmanager
def planning(folder: Path) -> Iterator[None]:
    """Inside it scenes are drawn once, into this folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DETKIT_CACHE", str(folder))
        yield


def check_change(folder: Path, old: Sequence[Step], new: Sequence[Step], letters: str, told_as: str) -> None:
    """The changed steps are those of the letters, and ``detkit status`` says why.

    Args:
        folder: for the plan that is kept.
        old: the steps before the change.
        new: the steps after it.
        letters: from ``STEPS``.
        told_as: a pattern that one line of what is told begins with.
    """
    digests = {step.label: step.digest for step in old}
    changed = {step.label for step in new if digests[step.label] != step.digest}
    assert changed == {STEPS[letter] for letter in letters}

    keep_plan(folder, list(old))
    last = LastRun.of(folder)
    told = [line for step in new for line in differences(step, last)]
    assert bool(told) == bool(changed)
    assert not changed or any(re.match(told_as, line) for line in told), told
