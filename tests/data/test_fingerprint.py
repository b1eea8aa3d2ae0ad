import hashlib
import os
import sqlite3
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from detkit.data import fingerprint as module
from detkit.data.cache import cache_dir
from detkit.data.fingerprint import ImageFacts, fingerprint, inspect_images
from detkit.errors import DataError
from detkit.structures import Annotations, Boxes, Sample


def test_facts_are_the_size_and_the_sha256_of_the_file(tmp_path, picture):
    path = picture(tmp_path / "a.jpg", size=(20, 30))
    assert inspect_images([path]) == [ImageFacts((20, 30), hashlib.sha256(path.read_bytes()).hexdigest())]


def test_no_image_has_no_facts():
    assert inspect_images([]) == []


def test_facts_come_in_the_order_of_the_paths_and_errors_in_their_place(tmp_path, picture):
    paths = [picture(tmp_path / f"{n}.png", size=(10 + n, 9)) for n in range(5)]
    paths[2].write_bytes(b"broken")
    found = inspect_images([*reversed(paths), tmp_path / "none.png", paths[0]])
    assert [facts.size[0] if isinstance(facts, ImageFacts) else None for facts in found] == [
        14, 13, None, 11, 10, None, 10,
    ]  # fmt: skip
    assert isinstance(found[2], DataError) and "none.png" in str(found[5])


def test_a_file_is_read_once_until_it_changes(tmp_path, picture, monkeypatch):
    path = picture(tmp_path / "a.png")
    before = inspect_images([path])
    with monkeypatch.context() as patch:
        patch.setattr(module, "image_bytes", lambda path: pytest.fail(f"{path} was read again"))
        assert inspect_images([path]) == before
    stat = path.stat()
    picture(path, value=1)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert inspect_images([path]) != before


def test_more_images_than_are_saved_at_once(tmp_path, picture, monkeypatch):
    monkeypatch.setattr(module, "SAVE_EVERY", 2)
    paths = [picture(tmp_path / f"{n}.png", size=(10 + n, 9)) for n in range(5)]
    assert [facts.size[0] for facts in inspect_images(paths)] == [10, 11, 12, 13, 14]
    assert inspect_images(paths) == inspect_images(paths)


def test_processes_may_inspect_at_once(tmp_path, picture):
    paths = [picture(tmp_path / f"{n}.png", value=n) for n in range(20)]
    with ProcessPoolExecutor(3, mp_context=get_context("fork")) as pool:
        found = list(pool.map(inspect_images, [paths] * 3))
    assert found[0] == found[1] == found[2] == inspect_images(paths)


def spoil(file, *commands):
    with sqlite3.connect(file) as table:
        for command in commands:
            table.execute(command)
    table.close()


UNUSABLE = {
    "file in the way": lambda file: (file.unlink(), file.mkdir()),
    "no data base": lambda file: file.write_bytes(b"this is no data base, and long enough to be taken for one" * 20),
    "damaged page": lambda file: file.write_bytes(file.read_bytes()[:4096] + b"x" * 8192),
    "other columns": lambda file: spoil(file, "DROP TABLE images", "CREATE TABLE images (path TEXT, other TEXT)"),
}


@pytest.mark.parametrize("row", UNUSABLE)
def test_a_cache_that_cannot_be_used_is_told_and_stops_nothing(tmp_path, picture, monkeypatch, caplog, row):
    monkeypatch.setenv("DETKIT_CACHE", str(tmp_path / "cache"))
    path = picture(tmp_path / "a.png")
    before = inspect_images([path])
    UNUSABLE[row](tmp_path / "cache" / "images.sqlite")
    assert inspect_images([path, path]) == before * 2
    (line,) = caplog.messages
    assert "images.sqlite: cannot use the cache of image checks: " in line and "set DETKIT_CACHE" in line


@pytest.mark.parametrize("values", ["height = 'x'", "width = 0", "sha256 = 'x'", "sha256 = NULL", "height = 1.5"])
def test_facts_that_make_no_sense_are_found_again(tmp_path, picture, values):
    path = picture(tmp_path / "a.png")
    before = inspect_images([path])
    spoil(cache_dir() / "images.sqlite", f"UPDATE images SET {values}")
    assert inspect_images([path]) == before == inspect_images([path])


def test_a_folder_whose_name_is_no_utf8_has_images_and_a_cache(tmp_path, picture, monkeypatch):
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    picture(tmp_path / "a.png").rename(folder / "a.png")
    monkeypatch.setenv("DETKIT_CACHE", str(folder))
    monkeypatch.chdir(folder)
    assert isinstance(inspect_images([Path("a.png")])[0], ImageFacts)


def test_broken_images_are_not_remembered(tmp_path, picture):
    path = tmp_path / "a.png"
    path.write_bytes(b"broken")
    inspect_images([path])
    with sqlite3.connect(cache_dir() / "images.sqlite") as table:
        assert table.execute("SELECT count(*) FROM images").fetchone() == (0,)


def sample(image_id="a", boxes=((0, 0, 5, 5),), labels=(0,), **flags):
    annotations = Annotations.of(Boxes.of(boxes), list(labels), **flags)
    return Sample(image_id, "a.jpg", (9, 9), annotations)


@pytest.mark.parametrize(
    ("names", "other", "sha"),
    [
        (["cat", "dog"], sample(), "h"),
        (["cat"], sample("b"), "h"),
        (["cat"], sample(boxes=[(0, 0, 5, 6)]), "h"),
        (["cat"], sample(labels=[1]), "h"),
        (["cat"], sample(difficult=[True]), "h"),
        (["cat"], sample(crowd=[True]), "h"),
        (["cat"], sample(area=[24.5]), "h"),
        (["cat"], sample(boxes=(), labels=()), "h"),
        (["cat"], Sample("a", "a.jpg", (9, 9)), "h"),
        (["cat"], sample(), "i"),
    ],
)
def test_a_fingerprint_changes_with_everything_it_is_over(names, other, sha):
    assert fingerprint([other], [sha], names) != fingerprint([sample()], ["h"], ["cat"])


def test_a_fingerprint_of_images_alone_changes_with_these_alone():
    images = fingerprint([sample()], ["h"], None)
    assert images == fingerprint([sample(boxes=[(0, 0, 5, 6)], labels=[1])], ["h"], None)
    others = [fingerprint([sample("b")], ["h"], None), fingerprint([sample()], ["i"], None)]
    assert images not in (*others, fingerprint([sample()], ["h"], []))


def test_a_fingerprint_depends_on_the_order_but_not_on_the_path():
    first, second = sample("a"), sample("b")
    moved = Sample("a", "elsewhere.jpg", (9, 9), first.annotations)
    assert fingerprint([first, second], "hi", ["cat"]) != fingerprint([second, first], "ih", ["cat"])
    assert fingerprint([moved, second], "hi", ["cat"]) == fingerprint([first, second], "hi", ["cat"])
