"""Folders of finished results, found by the hash of everything that they depend on."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from detkit.errors import ModelError
from detkit.system.files import locked, remove_folder, write_atomically
from detkit.system.reading import MIB, bounded_text

MANIFEST = "manifest.json"
MAX_BYTES = 256 * MIB

log = logging.getLogger("detkit")


def digest_of(description: Mapping[str, Any]) -> str:
    """sha256 of a JSON-able description, independent of key order."""
    return hashlib.sha256(json.dumps(description, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def content_of(files: Sequence[Path]) -> list[str]:
    """The name and the sha256 of each file; a missing file counts as empty."""
    return [f"{f.name} {hashlib.sha256(f.read_bytes() if f.is_file() else b'').hexdigest()}" for f in files]


def read_result(file: Path) -> dict[str, Any]:
    """The JSON object of a file in a finished artefact.

    Raises:
        ModelError: if the file is missing or damaged.
    """
    try:
        found = json.loads(bounded_text(file, MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ModelError(f"artefact {file.parent}: no readable {file.name}; delete the folder to make it again")
    return found


class ArtifactStore:
    """Artefact folders under one root: ``stage/first 12 of the digest``.

    A stage writes to a ``.partial`` folder, from which a later run resumes. Its manifest is written last; then the
    folder is renamed, so a folder with the final name is always complete.

    Args:
        root: the folder of all artefacts; it is created when needed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, stage: str, digest: str) -> Path:
        """The folder of a finished artefact, which may not exist yet."""
        return self.root / stage.lower() / digest[:12]

    def partial(self, stage: str, digest: str) -> Path:
        """The folder of an unfinished artefact, which may not exist yet."""
        return self.folder(stage, digest).with_suffix(".partial")

    def find(self, stage: str, digest: str) -> Path | None:
        """The finished artefact, or None.

        Raises:
            ModelError: if the folder exists, but its manifest is missing or of another digest.
        """
        folder = self.folder(stage, digest)
        if not folder.is_dir():
            return None
        found = read_result(folder / MANIFEST).get("digest")
        if found != digest:
            raise ModelError(
                f"artefact {folder}: its manifest is of {str(found)[:12]}; delete the folder to make it again"
            )
        return folder

    @contextmanager
    def make(self, stage: str, digest: str, description: Mapping[str, Any]) -> Iterator[Path | None]:
        """Yields the partial folder to work in, or None if another process has finished the artefact in the meantime.

        The folder is finished when the block ends without an error; otherwise it stays partial. A second process that
        makes the same artefact waits.
        """
        partial = self.partial(stage, digest)
        with self._locked(stage, digest):
            if self.find(stage, digest) is not None:
                yield None
                return
            partial.mkdir(exist_ok=True)
            yield partial
            write_atomically(partial / MANIFEST, json.dumps({"digest": digest, **description}, indent=1).encode())
            partial.replace(self.folder(stage, digest))

    def remove(self, stage: str, digest: str) -> None:
        """Removes an artefact, finished or not. It waits for another process that makes it."""
        with self._locked(stage, digest):
            remove_folder(self.folder(stage, digest))
            remove_folder(self.partial(stage, digest))

    def discard(self, stage: str, name: str) -> None:
        """Removes one folder of a stage, by its name; the caller holds its lock."""
        remove_folder(self.root / stage / name)

    @contextmanager
    def _locked(self, stage: str, digest: str) -> Iterator[None]:
        folder = self.folder(stage, digest)
        folder.parent.mkdir(parents=True, exist_ok=True)
        message = f"{stage.lower()}: waits for another run that makes {folder}"
        with locked(folder.with_suffix(".lock"), lambda: log.info(message)):
            yield
