"""Every registered stage against the interface."""

from __future__ import annotations

import pytest

from detkit.components import load_components
from detkit.config import load_config
from detkit.registry import STAGES
from detkit.run.plan import Datasets, plan
from detkit.run.stage import Stage
from detkit.system.compute import Compute

load_components()


@pytest.fixture
def config(recipe):
    return load_config(recipe)


@pytest.fixture(params=STAGES.names())
def stage(request, config):
    return STAGES.get(request.param)()


def test_it_is_a_stage_with_a_summary(stage):
    assert isinstance(stage, Stage)
    assert type(stage).__doc__.strip().splitlines()[0].endswith(".")


def test_its_sections_and_unhashed_keys_are_in_the_config(stage, config):
    view = config.restricted((*stage.sections(config), *stage.unhashed)).selected()
    for key in stage.neutral:
        section, _, name = key.partition(".")
        assert name in view[section]
    for section in stage.settings:
        assert section in config


def test_it_refers_to_stages_that_are_registered(stage, config):
    stage.check(config)
    for role in stage.roles(config):
        for name, _ in (*stage.inputs(config, role).values(), *stage.caches(config, role).values()):
            assert name in STAGES


def test_its_hash_is_the_same_twice_and_ignores_where_it_runs(config, recipe):
    compute = Compute.resolve(dtype="float32", device="cpu")
    first = plan(config, Datasets(config), compute)
    moved = load_config(recipe, ["RUNTIME.BATCH=7", "RUNTIME.WORKERS=3", "OUTPUT_DIR=elsewhere", "ARTIFACTS=x"])
    second = plan(moved, Datasets(moved), compute)
    assert [(s.label, s.digest) for s in first] == [(s.label, s.digest) for s in second]
    assert {s.name for s in first} == set(STAGES.names()) & set(config.STAGES)


def test_another_version_of_a_stage_is_another_hash_of_its_steps_and_of_what_reads_them(config):
    compute, data = Compute.resolve(dtype="float32", device="cpu"), Datasets(config)
    before = plan(config, data, compute)
    for name in config.STAGES:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(STAGES.get(name), "version", STAGES.get(name).version + 1)
            after = plan(config, data, compute)
        changed = set()
        for old, new in zip(before, after, strict=True):
            if new.name == name or changed & {step.label for step in new.inputs.values()}:
                changed.add(new.label)
            assert (old.digest != new.digest) == (new.label in changed), (name, new.label)
        assert changed, name
