from __future__ import annotations

import json
import os
import stat
from threading import Thread

import pytest

from detkit.errors import DetkitError
from detkit.system.files import (
    locked,
    remove_folder,
    replacing,
    replacing_folder,
    write_atomically,
    write_json,
    writing,
)


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
    monkeypatch.setattr("detkit.system.files.os.fsync", lambda number: there.append(path.exists()))
    with replacing(path) as partial:
        partial.write_text("new")
    assert there == [False] and path.exists()


def test_a_refusal_of_the_file_system_names_the_file_and_other_errors_pass(tmp_path):
    (tmp_path / "taken").write_text("mine")
    with (
        pytest.raises(DetkitError, match=r"taken/a\.json.*: cannot be read or written: Not a directory; make room"),
        writing(),
    ):
        (tmp_path / "taken" / "a.json").write_text("new")
    with pytest.raises(FileNotFoundError), writing():
        (tmp_path / "nowhere" / "a.json").read_text()


def test_what_a_link_points_to_is_replaced_and_the_link_stays(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "a.json").write_text("old")
    (tmp_path / "a.json").symlink_to("far/a.json")
    write_atomically(tmp_path / "a.json", b"new")
    assert (tmp_path / "a.json").is_symlink()
    assert (tmp_path / "far" / "a.json").read_text() == "new"
    assert [p.name for p in (tmp_path / "far").iterdir()] == ["a.json"]


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    read = []
    reader = Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    write_atomically(tmp_path / "pipe", b"new")
    reader.join()
    assert read == [b"new"]
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert [p.name for p in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.parametrize("name", ["x" * 300, "folder", "folder/../file/a"])
def test_names_that_cannot_be_written_to_are_told(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(DetkitError, match=r"cannot be written: (File name too long|Is a directory|Not a directory)"):
        write_atomically(tmp_path / name, b"new")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


def test_a_name_that_is_no_utf8_stands_in_json_as_an_escape(tmp_path):
    write_json(tmp_path / "a.json", {"ü": os.fsdecode(b"\xff")})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert "ü" in text and json.loads(text) == {"ü": "\udcff"}


def test_of_a_link_to_a_folder_the_link_is_removed(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "a").touch()
    for name in ("model", "model.removed", "model.partial"):
        (tmp_path / name).symlink_to("far")
    with replacing_folder(tmp_path / "model") as partial:
        (partial / "b").touch()
    assert (tmp_path / "far" / "a").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["far", "model"]
    assert [p.name for p in (tmp_path / "model").iterdir()] == ["b"]


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


def test_a_pipe_in_the_place_of_a_lock_does_not_make_it_wait(tmp_path):
    os.mkfifo(tmp_path / "lock")
    with locked(tmp_path / "lock", lambda: pytest.fail("waited")):
        pass
