import hashlib
import os
import sqlite3
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

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


def test_a_cache_that_cannot_be_used_says_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DETKIT_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"images\.sqlite: cannot use the cache of image checks: .*set DETKIT_CACHE"):
        inspect_images([])
    monkeypatch.setenv("DETKIT_CACHE", str(tmp_path))
    (tmp_path / "images.sqlite").write_text("this is no data base, and long enough to be taken for one" * 20)
    with pytest.raises(DataError, match=r"images\.sqlite: cannot use .*: file is not a database; delete the file"):
        inspect_images([])


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
        (["cat"], sample(boxes=(), labels=()), "h"),
        (["cat"], Sample("a", "a.jpg", (9, 9)), "h"),
        (["cat"], sample(), "i"),
    ],
)
def test_a_fingerprint_changes_with_everything_it_is_over(names, other, sha):
    assert fingerprint(names, [other], [sha]) != fingerprint(["cat"], [sample()], ["h"])


def test_a_fingerprint_depends_on_the_order_but_not_on_the_path():
    first, second = sample("a"), sample("b")
    moved = Sample("a", "elsewhere.jpg", (9, 9), first.annotations)
    assert fingerprint(["cat"], [first, second], "hi") != fingerprint(["cat"], [second, first], "ih")
    assert fingerprint(["cat"], [moved, second], "hi") == fingerprint(["cat"], [first, second], "hi")
