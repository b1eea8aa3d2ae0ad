"""The recipes that come with detkit."""

from __future__ import annotations

import itertools
import re

from detkit.config.paths import recipes_folder


def recipes() -> dict[str, str]:
    """The first sentence of each recipe's comment, by the recipe's path for ``--config``."""
    top = recipes_folder()
    files = sorted(top.glob("projects/*/[!_]*.yaml"))
    return {file.relative_to(top).as_posix(): _first_sentence(file.read_text(encoding="utf-8")) for file in files}


def _first_sentence(text: str) -> str:
    """The first sentence of the comment at the top; a full stop within a name ("custom.yaml") does not end it."""
    head = itertools.takewhile(lambda line: line.startswith("#"), text.splitlines())
    words = " ".join(line.removeprefix("#").strip() for line in head)
    return re.split(r"(?<=\.)\s", words, maxsplit=1)[0].rstrip(".")
