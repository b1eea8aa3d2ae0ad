"""What every stage keeps, as far as it can be told without a recipe."""

from __future__ import annotations

import inspect
import re
from typing import Any

from detkit.components import load_components
from detkit.config.load import config_of
from detkit.config.schema import fields_of, given_of
from detkit.run.stage import Need, Reads, Stage
from detkit.testing.expect import ContractError, expect, expect_given


def it_needs_nothing_to_be_made(make: Any) -> None:
    """What it works on comes in ``run``."""
    expect_given(make.component, given_of(make.component), set())


def it_has_a_kind_a_version_and_a_summary(make: Any) -> None:
    """``gives`` is a word; the docstring's first line ends with a full stop."""
    stage: Stage = make()
    expect(re.fullmatch("[a-z_]+", getattr(stage, "gives", "")), "gives: expected a word, such as network")
    expect(isinstance(stage.version, int) and stage.version >= 1, f"version: expected 1 or more, got {stage.version!r}")
    summary = (inspect.getdoc(make.component) or "").splitlines()[:1]
    expect(summary and summary[0].endswith("."), "the first line of its docstring is no sentence")


def its_sections_are_settings_objects(make: Any) -> None:
    """All keys have defaults and types."""
    for key, settings in make.component.settings.items():
        expect(key.isupper(), f"section {key}: expected capitals")
        expect(not given_of(settings), f"section {key}: {sorted(given_of(settings))} need defaults")
        for name, field in fields_of(settings).items():
            expect(field.annotation is not inspect.Parameter.empty, f"{key}.{name} has no annotation")


def what_it_needs_and_reads_is_declared(make: Any) -> None:
    """For each role of a recipe without settings: ``Need`` and ``Reads``, of keys that there are."""
    load_components()
    config, stage = config_of([]), make()
    for role in stage.roles(config):
        reads = stage.reads(config, role)
        expect(isinstance(reads, Reads), f"reads gave {type(reads).__name__}, expected Reads")
        for key in reads.keys:
            try:
                config.restricted([key])
            except KeyError:
                raise ContractError(f"reads names {key}, which is no key of a config") from None
        for label, need in stage.needs(config, role).items():
            expect(isinstance(need, Need), f"needs gave {type(need).__name__} as {label}, expected Need")


CHECKS = (
    it_needs_nothing_to_be_made,
    it_has_a_kind_a_version_and_a_summary,
    its_sections_are_settings_objects,
    what_it_needs_and_reads_is_declared,
)
