"""The image files that the words of a command name."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from glob import has_magic
from pathlib import Path

from detkit.data.images import IMAGE_SUFFIXES
from detkit.errors import DataError


@dataclass(frozen=True)
class ImageFiles:
    """Images, and counts of other files in the same folders.

    Args:
        named: (name of the output without its ending, image file) of every image; all names differ.
        left_out: number of files that are not read, by ending; "" is no ending.
    """

    named: list[tuple[str, Path]]
    left_out: Counter[str]

    def text_of_left_out(self) -> str:
        """A line with the number of files that are not read."""
        kinds = ", ".join(f"{n} {suffix or 'without ending'}" for suffix, n in sorted(self.left_out.items()))
        return f"not read: {kinds or 'nothing'}; images end in {', '.join(IMAGE_SUFFIXES)}"


def image_files(words: Sequence[str], output: Path) -> ImageFiles:
    """The images that words name: files, folders with all images in them, and patterns such as ``photos/*.jpg``.

    A word that is a file counts as an image, with any ending. Files in ``output`` are left out if a folder contains
    it: they are pictures of an earlier run.

    Raises:
        DataError: if a word is empty, there is no such file or folder, or it holds no image.
    """
    named: list[tuple[str, Path]] = []
    left_out: Counter[str] = Counter()
    for word in words:
        path = Path(word)
        if word and not path.is_dir() and path.exists():
            named.append((path.name, path))
            continue
        there = _below(path, output) if word and path.is_dir() else _matches(word, output)
        images = [(name, p) for name, p in there if p.suffix.lower() in IMAGE_SUFFIXES and not p.is_dir()]
        others = Counter(p.suffix.lower() for _, p in there) - Counter(p.suffix.lower() for _, p in images)
        if not images:
            raise DataError(f"{word}: no image there; {ImageFiles([], others).text_of_left_out()}")
        named += images
        left_out += others
    return ImageFiles(numbered(named), left_out)


def numbered(files: list[tuple[str, Path]]) -> list[tuple[str, Path]]:
    """The files with different names: a repeated name gets the first free number from 2."""
    taken: set[str] = set()
    result = []
    for name, path in files:
        numbers = itertools.count(2)
        free = name
        while free in taken:
            free = f"{name}_{next(numbers)}"
        taken.add(free)
        result.append((free, path))
    return result


def _matches(word: str, output: Path) -> list[tuple[str, Path]]:
    """The files of a pattern, in the form of ``_below``."""
    if not word:
        raise DataError("'': no image or folder has an empty name; write . for the working folder")
    if not has_magic(word):
        raise DataError(f"{word}: no such image or folder")
    start = Path(word).anchor
    try:
        matches = sorted(Path(start).glob(word.removeprefix(start)))
    except ValueError as error:  # as for "a**"
        raise DataError(f"{word}: is no pattern: {error}") from None
    if not matches:
        raise DataError(f"{word}: no such image or folder, and nothing matches it")
    files: dict[Path, str] = {}
    for path in matches:
        for name, file in _below(path, output) if path.is_dir() else [(path.name, path)]:
            files.setdefault(file, name)  # "**" matches a folder and what is in it
    return [(name, file) for file, name in files.items()]


def _below(folder: Path, output: Path) -> list[tuple[str, Path]]:
    """(path below the folder with _ for /, file) of every file; a link to a folder is one, and is not followed."""

    def stop(error: OSError) -> None:
        raise DataError(f"{error.filename}: cannot read the folder: {error.strerror}") from None

    own = output.resolve() if output.resolve() != folder.resolve() else None
    inside: list[Path] = []
    for root, folders, files in os.walk(folder, onerror=stop):
        here = Path(root)
        folders[:] = [name for name in folders if (here / name).resolve() != own]
        inside += [here / name for name in (*files, *(n for n in folders if (here / n).is_symlink()))]
    return [(path.relative_to(folder).as_posix().replace("/", "_"), path) for path in sorted(inside)]
