"""Fixtures that several test folders use."""

from __future__ import annotations

import functools
import os
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch

from detkit import components
from detkit.backbones import networks
from detkit.config import layout
from detkit.regions.index import RegionIndex
from detkit.regions.source import ArraySource
from detkit.registry import BACKBONES
from detkit.structures import Annotations, Boxes, Proposals, Sample

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("DETKIT_TEST_DATA", ROOT.parent / "shared"))

FIGURE = "figure"
"""The property by which a test of the long form gives a figure of docs/reliability.md: [what, number]."""

torch.set_num_threads(1)


def pytest_terminal_summary(terminalreporter):
    """Prints the figures of the tests that passed, added up, as the table that docs/reliability.md takes."""
    figures = Counter()
    for report in terminalreporter.stats.get("passed", ()):
        for name, value in report.user_properties:
            if name == FIGURE and report.when == "call":
                figures[value[0]] += value[1]
    if figures:
        terminalreporter.section("figures for docs/reliability.md")
        for line in ("| what | number |", "|---|---|", *(f"| {what} | {n} |" for what, n in sorted(figures.items()))):
            terminalreporter.line(line)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real photographs, weights and oracles; a test that asks for it is skipped where it is absent."""
    if not (SHARED / "data").is_dir():
        pytest.skip(f"needs the shared photographs at {SHARED} (set DETKIT_TEST_DATA to their folder)")
    return SHARED


@pytest.fixture(scope="session", autouse=True)
def read_once():
    """What no test changes is read once: signatures and installed packages, half of what a config takes, and shapes."""
    read = components.entry_points
    installed = functools.cache(lambda path, group: read(group=group))
    every = networks._all_networks
    made = functools.cache(lambda classes: list(every()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(networks, "_all_networks", lambda: made(tuple(map(BACKBONES.get, BACKBONES.names()))))
        patch.setattr(layout, "fields_of", functools.cache(layout.fields_of))
        patch.setattr(components, "entry_points", lambda *, group: installed(tuple(sys.path), group))
        yield


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No test reads or fills the user's cache."""
    monkeypatch.setenv("DETKIT_CACHE", str(tmp_path / "cache"))


class CountingSource(ArraySource):
    """Features held in memory; ``taken`` counts rows, ``sweeps`` names each way over the images."""

    def __init__(self, index, features):
        super().__init__(index, features)
        self.taken, self.sweeps = 0, []

    def take(self, rows):
        self.taken += len(rows)
        self.sweeps.append("take")
        return super().take(rows)

    def blocks(self):
        self.sweeps.append("blocks")
        yield from super().blocks()


@pytest.fixture(scope="session")
def array_source():
    """Makes a feature source from an index and an (R, D) array."""
    return CountingSource


@pytest.fixture(scope="session")
def make_index():
    """Makes a region index of images given as (truth boxes, truth labels, proposal boxes), each 100 by 100 pixels."""

    def make(images, num_classes, **settings):
        samples, proposals = [], []
        for i, (truths, labels, found) in enumerate(images):
            annotations = Annotations.of(Boxes.of(truths), labels)
            samples.append(Sample(f"image{i}", Path(f"image{i}.png"), (100, 100), annotations))
            proposals.append(Proposals.unranked(Boxes.of(found), (100, 100)))
        return RegionIndex.build(samples, proposals, num_classes, **settings)

    return make


RECIPE = """
STAGES: [Pretrain, Propose, Finetune, Extract, Classify, Regress, Calibrate, Detect, Evaluate]
DATA:
  {NAME: Shapes, FINETUNE: train, TRAIN: train, TEST: test, Shapes: {TRAIN_IMAGES: 12, VAL_IMAGES: 4, TEST_IMAGES: 6}}
PRETRAIN_DATA: {NAME: Shapes, TRAIN: train, VAL: val, Shapes: {FRAMED: true, TRAIN_IMAGES: 16, VAL_IMAGES: 8}}
PROPOSALS: {NAME: SelectiveSearch, SelectiveSearch: {MODE: single}}
BACKBONE: {NAME: TinyNet, TinyNet: {WIDTH: 8, FC_DIM: 16, INPUT_SIZE: 48}}
PRETRAIN: {ITERATIONS: 3, BATCH_SIZE: 8}
FINETUNE: {ITERATIONS: 3, LR: 0.01}
REGION_SAMPLER: {FixedFraction: {BATCH_SIZE: 16}}
CLASSIFIER: {LAYER: fc7}
CALIBRATE: {FOLDS: 2}
RUNTIME: {WORKERS: 0, BATCH: 32, REPORT: false}
ARTIFACTS: artifacts
"""


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory) -> Path:
    """The folder of a finished run of RECIPE; ``trained`` copies it, ``recipe`` its scenes."""
    from detkit.cli.main import main

    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("DETKIT_CACHE", "cache")
        Path("tiny.yaml").write_text(RECIPE, encoding="utf-8")
        assert main(["train", "--config", "tiny.yaml"]) == 0
    return folder


@pytest.fixture
def recipe(tmp_path, monkeypatch, finished_run) -> Path:
    """A recipe of every stage that runs in a few seconds; beside it lies nothing but the scenes in the cache."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished_run / "cache", tmp_path / "cache")
    path = tmp_path / "tiny.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


@pytest.fixture
def trained(recipe, finished_run) -> Path:
    """The recipe after a run of it, whose results lie in the working folder and whose scenes in the cache."""
    shutil.copytree(finished_run, recipe.parent, dirs_exist_ok=True)
    return recipe
