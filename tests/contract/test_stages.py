"""Every registered stage in a recipe."""

from __future__ import annotations

import functools
import operator
import re
from pathlib import Path

import pytest

import detkit
from detkit.components import load_components
from detkit.config import load_config
from detkit.registry import STAGES
from detkit.run.datasets import Datasets
from detkit.run.givers import planned_stages
from detkit.run.plan import plan
from detkit.run.stage import Reads
from detkit.system.compute import Compute

load_components()


@pytest.fixture
def config(recipe):
    return load_config(recipe)


@pytest.fixture(params=STAGES.names())
def stage(request):
    return STAGES.get(request.param)()


def test_what_it_reads_is_in_the_config_and_what_it_needs_is_given_by_a_stage(stage, config):
    kinds = {STAGES.get(name).gives for name in STAGES.names()}
    for role in stage.roles(config):
        reads = stage.reads(config, role)
        assert isinstance(reads, Reads)
        view = config.restricted(reads.keys).plain()
        for key in reads.not_hashed:
            functools.reduce(operator.getitem, key.removesuffix(".*").split("."), view)
        assert {need.kind for need in stage.needs(config, role).values()} <= kinds
    for section in stage.settings:
        assert section in config


def test_its_hash_is_the_same_twice_and_ignores_where_it_runs(config, recipe):
    compute = Compute.resolve(dtype="float32", device="cpu")
    first = plan(config, Datasets(config), compute)
    moved = load_config(recipe, ["RUNTIME.BATCH=7", "RUNTIME.WORKERS=3", "OUTPUT_DIR=elsewhere", "ARTIFACTS=x"])
    second = plan(moved, Datasets(moved), compute)
    assert [(s.label, s.digest) for s in first] == [(s.label, s.digest) for s in second]
    assert {s.id for s in first} == {one.entry.id for one in planned_stages(config)} == set(config.STAGES)


def test_the_core_names_no_stage_but_in_the_file_that_defines_it():
    names = "|".join(STAGES.names())
    package = Path(detkit.__file__).parent
    for file in package.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        own = set(re.findall(r"^class (\w+)", text, re.MULTILINE))
        found = {name for name in re.findall(rf"""["']({names})["']""", text) if name not in own}
        assert not found, f"{file.relative_to(package)} names {', '.join(sorted(found))}"


def test_another_version_of_a_stage_is_another_hash_of_its_steps_and_of_what_reads_them(config):
    compute, data = Compute.resolve(dtype="float32", device="cpu"), Datasets(config)
    before = plan(config, data, compute)
    for name in config.STAGES:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(STAGES.get(name), "version", STAGES.get(name).version + 1)
            after = plan(config, data, compute)
        changed = set()
        for old, new in zip(before, after, strict=True):
            if new.id == name or changed & {step.label for step in new.inputs.values()}:
                changed.add(new.label)
            assert (old.digest != new.digest) == (new.label in changed), (name, new.label)
        assert changed, name
