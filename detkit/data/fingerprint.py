"""Hashes of the content of images and data sets."""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import os
import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from detkit.data.cache import cache_dir
from detkit.data.images import MAX_MEGAPIXELS, decode_image, image_bytes, refusal_of_size
from detkit.errors import DataError, one_line
from detkit.progress import progress
from detkit.structures import Sample

Key = tuple[str, int, int]
SAVE_EVERY = 1000
_SHA256 = re.compile("[0-9a-f]{64}")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageFacts:
    """Facts about an image file that was read and decoded completely.

    Args:
        size: (height, width) of the decoded pixels.
        sha256: SHA-256 of the file, in hexadecimal.
        stamp: size and time of change of the file when it was read; see ``Sample``.
    """

    size: tuple[int, int]
    sha256: str
    stamp: tuple[int, int] | None = field(default=None, compare=False)


def inspect_images(paths: Sequence[Path], max_megapixels: float = MAX_MEGAPIXELS) -> list[ImageFacts | DataError]:
    """Reads, hashes and decodes each file once per machine. The facts are cached by path, size and time of change.

    Several processes may call it at once.

    Args:
        paths: the files.
        max_megapixels: an image of more million pixels is refused by its header, before it is decoded.

    Returns:
        In the order of ``paths``: the facts, or the error if the file is no readable image.
    """
    with closing(_Known(cache_dir() / "images.sqlite")) as table:
        facts: list[ImageFacts | DataError | None] = [table.recall(_key(path)) for path in paths]
        unknown = [row for row, known in enumerate(facts) if known is None]
        if unknown:
            for row, found in zip(unknown, _inspect_new([paths[row] for row in unknown], table, max_megapixels)):
                facts[row] = found
    return [_within(found, path, max_megapixels) for found, path in zip(facts, paths) if found is not None]


def _within(found: ImageFacts | DataError, path: Path, max_megapixels: float) -> ImageFacts | DataError:
    """An image that is known from a time when more was allowed is refused as a new one is."""
    if isinstance(found, DataError):
        return found
    return refusal_of_size(found.size, path, max_megapixels) or found


def _inspect_new(paths: Sequence[Path], table: _Known, max_megapixels: float) -> Iterator[ImageFacts | DataError]:
    with progress("check images", len(paths), "image") as bar, ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(paths), SAVE_EVERY):
            part = paths[start : start + SAVE_EVERY]
            # The key is taken before the file is read: a change in between makes it stale, not wrong.
            keys = [_key(path) for path in part]
            found = []
            for facts in pool.map(_inspect, part, keys, itertools.repeat(max_megapixels)):
                found.append(facts)
                bar.update()
            table.remember(keys, found)
            yield from found


def fingerprint(samples: Iterable[Sample], hashes: Iterable[str], class_names: Sequence[str] | None) -> str:
    """A sha256 over image ids and contents in list order, and over annotations and class names if given.

    Args:
        samples: the images.
        hashes: the sha256 of each image file.
        class_names: K names; None hashes the images alone.
    """
    digest = hashlib.sha256(_line(class_names and list(class_names)))
    for sample, sha256 in zip(samples, hashes, strict=True):
        truths = None if class_names is None else annotation_columns(sample)
        digest.update(_line([sample.image_id, sha256, truths]))
    return digest.hexdigest()


def annotation_columns(sample: Sample) -> list[list[object]] | None:
    """The hashed columns of an image's ground truths: boxes, labels, difficult, crowd, areas; None without any."""
    truths = sample.annotations
    if truths is None:
        return None
    return [c.tolist() for c in (truths.boxes.tensor, truths.labels, truths.difficult, truths.crowd, truths.area)]


def _line(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _key(path: Path) -> Key | None:
    try:
        stat = path.stat()
        str(path.absolute()).encode()  # the cache keeps names in UTF-8
    except (OSError, ValueError):
        return None
    return str(path.absolute()), stat.st_size, stat.st_mtime_ns


def is_changed(sample: Sample) -> bool:
    """Whether a file was replaced after it was checked; False if it is gone or was never checked."""
    key = _key(sample.path)
    return key is not None and sample.stamp is not None and key[1:] != sample.stamp


def _inspect(path: Path, key: Key | None, max_megapixels: float) -> ImageFacts | DataError:
    try:
        data = image_bytes(path)
        height, width, _ = decode_image(data, path, max_megapixels).shape
    except DataError as error:
        return error
    return ImageFacts((height, width), hashlib.sha256(data).hexdigest(), key and key[1:])


class _Known:
    """The facts of images that were inspected before, in a file.

    They only save time. If the file cannot be used, no facts are known or stored, and the log says so once.

    Args:
        file: the file; it is created if it does not exist.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._table: sqlite3.Connection | None = None
        with self._given_up_on_errors():
            file.parent.mkdir(parents=True, exist_ok=True)
            self._table = sqlite3.connect(file, timeout=60)
            with self._table:
                self._table.execute(
                    "CREATE TABLE IF NOT EXISTS images (path TEXT PRIMARY KEY, bytes INTEGER, changed INTEGER,"
                    " height INTEGER, width INTEGER, sha256 TEXT)"
                )

    def recall(self, key: Key | None) -> ImageFacts | None:
        """The facts of an image file that has not changed; None if they are not known or invalid."""
        row = None
        with self._given_up_on_errors():
            if self._table is not None and key is not None:
                query = "SELECT height, width, sha256 FROM images WHERE path = ? AND bytes = ? AND changed = ?"
                row = self._table.execute(query, key).fetchone()
        if row is None or [type(value) for value in row] != [int, int, str]:
            return None
        height, width, sha256 = row
        known = min(height, width) > 0 and _SHA256.fullmatch(sha256)
        return ImageFacts((height, width), sha256, key and key[1:]) if known else None

    def remember(self, keys: list[Key | None], found: list[ImageFacts | DataError]) -> None:
        """Keeps the facts of images whose file has a key."""
        pairs = zip(keys, found, strict=True)
        rows = [(*key, *facts.size, facts.sha256) for key, facts in pairs if key and isinstance(facts, ImageFacts)]
        with self._given_up_on_errors():
            if self._table is not None:
                with self._table:
                    self._table.executemany("INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?, ?)", rows)

    def close(self) -> None:
        """Closes the file."""
        if self._table is not None:
            self._table.close()
        self._table = None

    @contextmanager
    def _given_up_on_errors(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error, UnicodeError, OverflowError) as error:
            self.close()
            _log.warning(
                "%s: cannot use the cache of image checks: %s; every image is read again. Delete the file, or set "
                "DETKIT_CACHE to a folder that can be written",
                one_line(str(self._file)),
                error,
            )
