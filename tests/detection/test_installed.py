from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from detkit.detection import installed
from detkit.detection.installed import model_folder
from detkit.errors import ModelError


@pytest.fixture(autouse=True)
def in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def package(monkeypatch, in_tmp):
    """A package that brings the model blood_cells and one that is broken."""
    (in_tmp / "cells_of_a_test.py").write_text(f"def folder():\n    return {str(in_tmp / 'brought')!r}\n")
    monkeypatch.syspath_prepend(str(in_tmp))
    known = {
        name: EntryPoint(name, f"cells_of_a_test:{what}", installed.GROUP)
        for name, what in (("blood_cells", "folder"), ("broken", "missing"))
    }
    monkeypatch.setattr(installed, "installed_models", lambda: known)


def test_a_path_stays_what_it_is(package):
    assert model_folder("runs/quick/model") == Path("runs/quick/model")


def test_a_folder_of_the_same_name_comes_first(package, in_tmp):
    (in_tmp / "blood_cells").mkdir()
    assert model_folder("blood_cells") == Path("blood_cells")


def test_a_name_is_the_folder_that_its_package_tells(package, in_tmp):
    assert model_folder("blood_cells") == in_tmp / "brought"


def test_an_unknown_name_is_answered_with_the_nearest(package):
    with pytest.raises(ModelError, match=r"model blood_cell: no such folder.* Did you mean blood_cells\? Installed"):
        model_folder("blood_cell")


def test_a_package_that_cannot_tell_is_named(package):
    with pytest.raises(ModelError, match="model broken: its package cannot be used: AttributeError"):
        model_folder("broken")
