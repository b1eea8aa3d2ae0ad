"""The results in an artefact folder, the runs that use them, and their removal."""

from __future__ import annotations

import functools
import hashlib
import os
import re
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from detkit.errors import ConfigError, ModelError
from detkit.run.artifacts import ArtifactStore, digest_of
from detkit.run.last_run import last_plan
from detkit.system.files import locked, write_atomically

RUNS = ".runs"
"""Folder of an artefact folder with the path of each run's folder that has worked in it."""

DAY = 24 * 60 * 60
NAME = re.compile(r"[0-9a-f]{12}(\.partial)?")


@dataclass(frozen=True)
class Stored:
    """One result.

    Args:
        stage: name of its stage's folder.
        name: name of its own folder: 12 digits of its hash, and .partial if it is not finished.
        size: bytes of its files.
        written: time of its last file, in seconds since 1970.
        runs: the folders of runs whose last plan includes it.
    """

    stage: str
    name: str
    size: int
    written: float
    runs: tuple[Path, ...]

    @property
    def label(self) -> str:
        """The name that ``chosen`` takes for it, finished or not."""
        return f"{self.stage}/{self.name.removesuffix('.partial')}"

    @property
    def is_finished(self) -> bool:
        """Whether it is finished."""
        return not self.name.endswith(".partial")

    @property
    def days(self) -> float:
        """Its age in days."""
        return (time.time() - self.written) / DAY


def note_run(root: Path, folder: Path) -> None:
    """Records that a run uses an artefact folder, so that its results count as used.

    Args:
        root: the artefact folder.
        folder: the run's folder.
    """
    path = str(folder.resolve())
    file = root / RUNS / hashlib.sha256(path.encode(errors="surrogateescape")).hexdigest()[:16]
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, path.encode(errors="surrogateescape"))


def known_runs(root: Path) -> list[Path]:
    """The folders of runs that have used an artefact folder, and of all runs in ``runs`` of the working folder."""
    noted = [file for file in (root / RUNS).glob("*") if file.suffix != ".partial"]
    paths = [Path(file.read_bytes().decode(errors="surrogateescape")) for file in noted]
    return sorted({path.resolve() for path in (*paths, *Path("runs").glob("*")) if path.is_dir()})


def stored(root: Path) -> list[Stored]:
    """Every result in an artefact folder, the largest first. Other files there are ignored.

    Raises:
        ConfigError: if there is no such folder.
    """
    if not root.is_dir():
        raise ConfigError(f"no artefact folder {root}: nothing was stored there yet, or name another with --artifacts")
    users: dict[str, list[Path]] = {}
    for run in known_runs(root):
        for step in last_plan(run).values():
            users.setdefault(digest_of(step)[:12], []).append(run)
    found = []
    for folder in root.glob("*/*"):
        if NAME.fullmatch(folder.name) and folder.is_dir() and not folder.is_symlink():
            with suppress(OSError):  # a run may finish or remove it meanwhile
                files, written = _files(folder), folder.stat().st_mtime
                written = max([one.st_mtime for one in files], default=written)
                runs = tuple(dict.fromkeys(users.get(folder.name[:12], ())))
                size = sum(one.st_size for one in files)
                found.append(Stored(folder.parent.name, folder.name, size, written, runs))
    return sorted(found, key=lambda one: (-one.size, one.label))


def chosen(everything: Sequence[Stored], words: Sequence[str], older_than: float = 0.0) -> list[Stored]:
    """The results that words name: a result, a stage, "unused" or "all".

    Args:
        everything: all results.
        words: names of results; each word adds some.
        older_than: keep only results that are at least this number of days old.

    Raises:
        ConfigError: if a word names nothing.
    """
    picked: dict[Stored, None] = {}
    for word in words:
        own = [
            one for one in everything if word in ("all", one.stage, one.label) or (word == "unused" and not one.runs)
        ]
        if not own and word not in ("all", "unused"):
            stages = ", ".join(sorted({one.stage for one in everything})) or "nothing is stored"
            raise ConfigError(
                f"--remove {word}: no such result; give one as detkit cache lists it, such as detect/0123456789ab, a "
                f"stage ({stages}), unused or all"
            )
        picked |= dict.fromkeys(own)
    return [one for one in picked if one.days >= older_than]


def remove(root: Path, results: Sequence[Stored]) -> None:
    """Removes results completely. A run that needs one makes it again.

    Args:
        root: the artefact folder.
        results: the results to remove.

    Raises:
        ModelError: if a run that uses or makes one of them is running; then nothing is removed.
    """
    store = ArtifactStore(root)
    with ExitStack() as stack:
        for run in dict.fromkeys(run for one in results for run in one.runs):
            busy = f"the run {run} is at work"
            stack.enter_context(locked(run / ".lock", functools.partial(_refuse, busy)))
        for label in dict.fromkeys(one.label for one in results):
            busy = f"{label} is being made"
            stack.enter_context(locked((root / label).with_suffix(".lock"), functools.partial(_refuse, busy)))
        for one in results:
            store.discard(one.stage, one.name)


def _refuse(what: str) -> None:
    raise ModelError(f"{what}: nothing was removed; wait until it has ended, or leave it out")


def _files(folder: Path) -> list[os.stat_result]:
    """Size and age of each file below a folder."""
    found = []
    for file in folder.rglob("*"):
        with suppress(OSError):  # a run may finish or remove it meanwhile
            if file.is_file() and not file.is_symlink():
                found.append(file.stat())
    return found
