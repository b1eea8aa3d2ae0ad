from __future__ import annotations

import pytest

from detkit.errors import DetkitError
from detkit.files import locked, remove_folder, replacing, replacing_folder, writing


def test_new_content_takes_the_name_when_the_block_ends(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    with replacing(path) as partial:
        partial.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_block_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path, error):
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(error), replacing(path) as partial:
        partial.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_content_is_on_the_disk_before_it_takes_the_name(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    there = []
    monkeypatch.setattr("detkit.files.os.fsync", lambda number: there.append(path.exists()))
    with replacing(path) as partial:
        partial.write_text("new")
    assert there == [False] and path.exists()


def test_a_refusal_of_the_file_system_names_the_file_and_other_errors_pass(tmp_path):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(DetkitError, match=r"taken/a\.json.*: cannot be written: Not a directory; make room"), writing():
        (tmp_path / "taken" / "a.json").write_text("new")
    with pytest.raises(FileNotFoundError), writing():
        (tmp_path / "nowhere" / "a.json").read_text()


def test_a_folder_is_swapped_when_the_block_ends_and_stays_when_it_fails(tmp_path):
    folder = tmp_path / "model"
    for content in ("old", "new"):
        with replacing_folder(folder) as partial:
            (partial / "a").write_text(content)
    with pytest.raises(KeyboardInterrupt), replacing_folder(folder) as partial:
        raise KeyboardInterrupt
    assert (folder / "a").read_text() == "new"


def test_what_a_killed_removal_left_goes_with_the_next(tmp_path):
    folder, left = tmp_path / "model", tmp_path / "model.removed"
    folder.mkdir()
    left.mkdir()
    (left / "half").touch()
    remove_folder(folder)
    assert not list(tmp_path.iterdir())


def test_a_free_lock_is_taken_without_waiting(tmp_path):
    with locked(tmp_path / "lock", lambda: pytest.fail("waited")):
        pass
    with locked(tmp_path / "lock", lambda: pytest.fail("waited")):
        pass
