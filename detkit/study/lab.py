"""Makes the runs of a study, which share equal results."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from detkit.config import load_config
from detkit.config.node import Config
from detkit.config.yaml_file import value_text
from detkit.errors import ConfigError, DetkitError
from detkit.run.datasets import Datasets
from detkit.run.plan import Step
from detkit.run.run_folder import output_folder
from detkit.run.runner import Run
from detkit.study.measured import Measured, measure
from detkit.study.setting import Setting
from detkit.study.sharing import of_one_network, shared_features

log = logging.getLogger("detkit")

RUNS = "runs"
"""Folder of a study's folder with one folder for each run."""


class Lab:
    """The runs of one recipe under several settings.

    Results are in the recipe's artefact store, so steps that several settings share are made once, also for other
    commands.

    Args:
        recipe: the config file.
        overrides: overrides for all runs.
        kind: name of the study's folder in the recipe's output folder, such as "paper".

    Raises:
        ConfigError: if the recipe itself cannot be used.
    """

    def __init__(self, recipe: str | Path, overrides: Sequence[str], kind: str) -> None:
        self.recipe, self.overrides = recipe, list(overrides)
        self.config = load_config(recipe, self.overrides)
        self.folder = output_folder(self.config, Path(recipe).stem) / kind
        self._datasets: dict[str, Datasets] = {}
        self._runs: dict[str, Run] = {}
        self._made: set[str] = set()
        self._missing: dict[str, str] = {}
        self._measured: dict[tuple[str, bool, float], Measured] = {}

    def plan(self, settings: Sequence[Setting]) -> None:
        """Plans the runs of these settings. ``missing`` tells why some of them cannot run.

        Settings whose features come from the same network store them together, also those of the test split.
        """
        new = {s.identity: s for s in settings if s.identity not in self._runs | self._missing}
        planned = {identity: run for identity, s in new.items() if (run := self._planned(s)) is not None}
        for identities in of_one_network(planned):
            words = shared_features([planned[identity] for identity in identities])
            for identity in identities if len(identities) > 1 else ():
                planned[identity] = self._plan(new[identity], words)
        self._runs.update(planned)

    def missing(self, setting: Setting) -> str:
        """A line with the reason why a setting cannot run with this recipe; empty if it can."""
        self.plan([setting])
        return self._missing.get(setting.identity, "")

    def run(self, setting: Setting, also: Sequence[Step] = ()) -> Run:
        """The run of a setting, finished up to its kind of result.

        Args:
            setting: the setting.
            also: steps of other runs, which are made as well where one pass can make both.

        Raises:
            DetkitError: if it cannot be run.
        """
        if lacks := self.missing(setting):
            raise ConfigError(f"{setting.label.en}: {lacks}")
        run = self._runs[setting.identity]
        if setting.identity not in self._made:
            with run.alone():  # also if all is there, so that the run's plan says which results are its own
                run.execute(also=also)
            self._made.add(setting.identity)
        return run

    def make(self, settings: Sequence[Setting]) -> None:
        """Makes the runs of all these settings that can be run. Steps that one pass can make are made together."""
        self.plan(settings)
        wanted = list({s.identity: s for s in settings if s.identity in self._runs}.values())
        steps = [step for setting in wanted for step in self._runs[setting.identity].steps]
        for number, setting in enumerate(wanted, 1):
            if not self._runs[setting.identity].is_finished():
                log.info("run %d of %d: %s", number, len(wanted), setting.label.en)
                try:
                    self.run(setting, steps)
                except DetkitError:
                    if not steps:
                        raise
                    steps = []  # the cause may be another setting: alone, each is made or named
                    self.run(setting)

    def measured(self, setting: Setting, iou: float = 0.5) -> Measured:
        """The evaluated detections of a setting, before or after the box head as the setting says."""
        run = self.run(setting)
        step = last_step(run, setting.kind, setting.role)
        key = (step.digest, setting.refined, iou)
        if key not in self._measured:
            self._measured[key] = measure(run, refined=setting.refined, iou=iou, role=setting.role)
        return self._measured[key]

    def hashes(self, setting: Setting) -> dict[str, str]:
        """The first 12 digits of the hash of each step; empty for a setting that cannot be run."""
        if self.missing(setting):
            return {}
        return {step.label: step.digest[:12] for step in self._runs[setting.identity].steps}

    def _planned(self, setting: Setting) -> Run | None:
        try:
            return self._plan(setting)
        except DetkitError as error:
            if not setting.keys:
                raise
            self._missing[setting.identity] = str(error).removeprefix("command line: ")
            return None

    def _plan(self, setting: Setting, words: Sequence[str] = ()) -> Run:
        """The run of a setting, with the steps alone that its kind of result needs."""
        name = hashlib.sha256(setting.identity.encode()).hexdigest()[:12]
        folder = f"OUTPUT_DIR={value_text(str(self.folder / RUNS / name))}"
        config = load_config(self.recipe, [*self.overrides, *words, *setting.words, folder])
        run = Run.of(config, name, datasets=self._shared(config))
        steps = _needed(run.steps, last_step(run, setting.kind, setting.role))
        if setting.stage and all(type(step.stage).__name__ != setting.stage for step in steps):
            raise ConfigError(f"STAGES: the recipe has no {setting.stage}, which this is about")
        return replace(run, steps=steps)

    def _shared(self, config: Config) -> Datasets:
        """The data sets of a config, shared by the runs that read the same ones."""
        key = json.dumps([config.DATA, config.PRETRAIN_DATA], default=str)
        return self._datasets.setdefault(key, Datasets(config))


def last_step(run: Run, kind: str, role: str = "TEST") -> Step:
    """The last step of a run that gives a kind of result of a split, or of no split.

    Raises:
        ConfigError: if there is no such step.
    """
    step = run.last(kind, role) or run.last(kind)
    if step is None:
        split = "test" if role == "TEST" else "training"
        raise ConfigError(f"STAGES: no stage gives {kind} of the {split} split; take a recipe of a whole detector")
    return step


def _needed(steps: Sequence[Step], last: Step) -> list[Step]:
    """The steps that lead to one, in their order, with those that only save them time."""
    found = {last}
    for step in reversed(steps):
        if step in found:
            found.update((*step.inputs.values(), *step.caches.values()))
    return [step for step in steps if step in found]
