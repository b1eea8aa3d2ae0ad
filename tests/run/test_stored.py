from __future__ import annotations

import json
import os
import time

import pytest

from detkit.cli.main import main
from detkit.errors import ConfigError, ModelError
from detkit.run.artifacts import ArtifactStore, digest_of
from detkit.run.stored import DAY, chosen, known_runs, note_run, remove, stored
from detkit.system.files import locked

STEP = {"stage": "Extract", "settings": {"A": 1}, "parts": {}, "content": {}, "data": [], "inputs": {}}
OTHER = {**STEP, "settings": {"A": 2}}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A finished result of 1,000 bytes and more that runs/one uses, an older one that nobody does, and one begun."""
    monkeypatch.chdir(tmp_path)
    store = ArtifactStore(tmp_path / "artifacts")
    for step, size in ((STEP, 5000), (OTHER, 1000)):
        with store.make("extract", digest_of(step), step) as folder:
            (folder / "fc7.safetensors").write_bytes(bytes(size))
    store.partial("detect", "c" * 64).mkdir(parents=True)
    for file in store.folder("extract", digest_of(OTHER)).iterdir():
        os.utime(file, (0, time.time() - 40 * DAY))
    run = tmp_path / "elsewhere/one"
    run.mkdir(parents=True)
    (run / "plan.json").write_text(json.dumps({"extract train": STEP}))
    note_run(store.root, run)
    return store.root


def test_results_are_told_with_size_age_and_the_runs_that_use_them(root, tmp_path):
    used, other, begun = stored(root)
    assert (used.label, used.runs) == (f"extract/{digest_of(STEP)[:12]}", (tmp_path / "elsewhere/one",))
    assert 5000 < used.size < 5500 and used.days < 1  # and a small manifest
    assert (other.label, other.runs, round(other.days)) == (f"extract/{digest_of(OTHER)[:12]}", (), 40)
    assert (begun.label, begun.size, begun.is_finished) == (f"detect/{'c' * 12}", 0, False)


def test_a_run_that_is_gone_uses_nothing_and_runs_of_the_working_folder_are_known(root, tmp_path):
    (tmp_path / "elsewhere/one").rename(tmp_path / "runs")
    assert [one.runs for one in stored(root)] == [(), (), ()]
    (tmp_path / "elsewhere/two").mkdir()
    (tmp_path / "runs").rename(tmp_path / "elsewhere/three")
    (tmp_path / "elsewhere").rename(tmp_path / "runs")
    assert [run.name for run in known_runs(root)] == ["three", "two"]
    assert [one.runs for one in stored(root)] == [(tmp_path / "runs/three",), (), ()]


@pytest.mark.parametrize(
    ("words", "days", "picked"),
    [
        (["unused"], 0, [1, 2]),
        (["unused"], 30, [1]),
        (["detect", "extract"], 0, [2, 0, 1]),
        (["all"], 0, [0, 1, 2]),
        ([f"detect/{'c' * 12}"], 0, [2]),
    ],
)
def test_words_choose(root, words, days, picked):
    everything = stored(root)
    assert chosen(everything, words, days) == [everything[i] for i in picked]


@pytest.mark.parametrize("word", ["extract/0", "..", "../elsewhere", "extrac"])
def test_a_word_that_names_nothing_is_refused(root, word):
    with pytest.raises(ConfigError, match=r"no such result; give one as detkit cache lists it, .*\(detect, extract\)"):
        chosen(stored(root), [word])


def test_what_is_removed_is_gone_and_nothing_else(root, tmp_path):
    (root / "extract/notes.txt").write_text("of the user")
    remove(root, chosen(stored(root), ["unused"]))
    assert [one.label for one in stored(root)] == [f"extract/{digest_of(STEP)[:12]}"]
    assert (root / "extract/notes.txt").is_file() and (tmp_path / "elsewhere/one/plan.json").is_file()


def test_nothing_is_removed_while_a_run_is_at_work(root, tmp_path):
    everything = stored(root)
    busy = [tmp_path / "elsewhere/one/.lock", root / f"detect/{'c' * 12}.lock"]
    for lock, message in zip(busy, ("the run .*one is at work: nothing was removed", "detect/c+ is being made")):
        with locked(lock, lambda: None), pytest.raises(ModelError, match=message):
            remove(root, everything)
    assert stored(root) == everything


def test_command_shows_first_and_removes_when_told_to(root, tmp_path, capsys):
    words = ["cache", "--artifacts", str(root)]
    assert main(words) == 0
    size, *others = (f"{one.size / 1000:.3g} kB" for one in stored(root))
    unused = f"2 results of {others[0]}"  # the one that was begun has nothing
    heading, first, *_, last = capsys.readouterr().out.splitlines()
    assert heading.split() == ["result", "size", "age", "used", "by"]
    assert size in first and first.endswith("0.0 d  elsewhere/one")
    assert last.startswith("3 results of 6.")
    assert last.endswith(f" in {root}; no known run uses {unused} (--remove unused)")
    assert main([*words, "--remove", "unused"]) == 0
    assert f"{unused} would be removed; --yes removes them" in capsys.readouterr().out
    assert len(stored(root)) == 3
    assert main([*words, "--remove", "unused", "--yes"]) == 0
    assert capsys.readouterr().out.endswith(f"removed {unused} from {root}\n")
    assert len(stored(root)) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--yes"], "--yes and --older-than belong to --remove"),
        (["--remove", "all", "--older-than", "-1"], "--older-than -1: expected a number of days, 0 or more"),
        (["--artifacts", "nowhere"], "no artefact folder nowhere: nothing was stored there yet"),
    ],
)
def test_options_that_cannot_be_used_are_named(root, words, message, capsys):
    assert main(["cache", *words]) == 2
    assert capsys.readouterr().err.startswith(f"detkit cache: {message}")
