"""Steps of several settings that are made in one pass."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from detkit.cli.main import main
from detkit.config import load_config
from detkit.errors import DataError, DetkitError
from detkit.run.runner import Run
from detkit.stages import classify
from detkit.stages.classify import Classify

C = "CLASSIFIER.LinearSVM.C"


def planned(*words):
    """A run, and its step that learns classifiers."""
    run = Run.of(load_config("tiny.yaml", [f"OUTPUT_DIR=runs/{'-'.join(words)}", *words]), "tiny")
    (step,) = [step for step in run.steps if step.id == "Classify"]
    return run, step


def made():
    return sorted(path.parent.name for path in Path("artifacts/classify").glob("*/manifest.json"))


@pytest.fixture
def untaught(trained, monkeypatch):
    """A trained recipe without its classifiers; learning is replaced by a note of the settings that learn together."""
    (step,) = [s for s in Run.of(load_config(trained), "tiny").steps if s.id == "Classify"]
    Run.of(load_config(trained), "tiny").store.remove(step.folder, step.digest)
    noted = []

    def run_together(self, contexts):
        noted.append([context.config.CLASSIFIER.LinearSVM.C for context in contexts])
        for context in contexts:
            (context.folder / "file").touch()

    monkeypatch.setattr(Classify, "run_together", run_together)
    return noted


def test_steps_that_differ_in_the_keys_of_the_classifier_alone_can_share_a_pass(recipe):
    stored = "FEATURES.LAYERS=[pool5, fc6, fc7]"
    first = planned(stored)[1].pass_digest
    assert first and first == planned(stored, f"{C}=0.5")[1].pass_digest
    for word in ("CLASSIFIER.LAYER=fc6", "CLASSIFIER.NAME=Softmax", "SEED=5"):
        assert planned(stored, word)[1].pass_digest != first, word
    assert planned()[1].pass_digest != first  # other features are stored
    run, _ = planned()
    assert {step.id for step in run.steps if step.pass_digest} == {"Classify"}


def test_what_is_there_or_equal_is_not_made_twice(untaught, caplog):
    caplog.set_level("INFO")
    runs = [planned(*words) for words in ((), (f"{C}=0.5",), (f"{C}=0.5", "POSTPROCESS.NMS_IOU=0.4"), ("SEED=5",))]
    steps = [step for _, step in runs]
    assert steps[1].digest == steps[2].digest
    replace(runs[2][0], steps=[steps[2]]).execute(also=steps)
    assert untaught == [[0.5, 0.001]] or untaught == [[0.001, 0.5]]
    assert [m for m in caplog.messages if m.startswith("classify")][:2] == [
        "classify train: starts",
        "classify train: 2 settings in one pass",
    ]
    assert made() == sorted(step.digest[:12] for step in steps[:2])
    _, third = planned(f"{C}=0.25")
    replace(runs[0][0], steps=[third]).execute(also=steps)
    assert untaught[1:] == [[0.25]]


def test_an_error_finishes_no_setting_and_a_second_try_makes_all(untaught, monkeypatch):
    (run, step), (_, other) = planned(), planned(f"{C}=0.5")
    run_together = Classify.run_together

    def fails(self, contexts):
        (contexts[0].folder / "half").touch()
        raise DetkitError("the second cannot learn")

    monkeypatch.setattr(Classify, "run_together", fails)
    with pytest.raises(DetkitError, match="the second cannot learn"):
        replace(run, steps=[step]).execute(also=[other])
    assert made() == []
    monkeypatch.setattr(Classify, "run_together", run_together)
    replace(run, steps=[step]).execute(also=[other])
    assert len(made()) == 2 and len(untaught[0]) == 2


def test_an_image_that_is_replaced_meanwhile_leaves_nothing_of_any_setting(untaught, monkeypatch):
    (run, step), (_, other) = planned(), planned(f"{C}=0.5")
    run_together, sample = Classify.run_together, step.dataset("TRAIN")[0]

    def late(self, contexts):
        run_together(self, contexts)
        cv2.imwrite(str(sample.path), np.zeros((*sample.size, 3), np.uint8))

    monkeypatch.setattr(Classify, "run_together", late)
    with pytest.raises(DataError, match="was changed after the run had started"):
        replace(run, steps=[step]).execute(also=[other])
    assert not [path for path in Path("artifacts/classify").iterdir() if path.is_dir()]


def test_a_setting_that_cannot_learn_is_named_and_the_others_are_kept(trained, monkeypatch, caplog, capsys):
    def refuse(classifier, source):
        if classifier.training.loss.c == 0.25:
            raise DetkitError("it has learnt no class")

    monkeypatch.setattr(classify, "refuse_silent", refuse)
    caplog.set_level("INFO")
    before = made()
    assert main(["ablate", f"{C}=0.5,0.25,0.125", "--config", str(trained)]) == 2
    assert "it has learnt no class" in capsys.readouterr().err
    assert [m for m in caplog.messages if m.startswith("run ")] == ["run 1 of 3: C=0.5", "run 2 of 3: C=0.25"]
    assert len(made()) == len(before) + 1
