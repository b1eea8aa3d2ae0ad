"""The recipes that come with detkit."""

from __future__ import annotations

import re

from detkit.config.paths import recipes_folder


def recipes() -> dict[str, str]:
    """The first sentence of each recipe's comment, by its path as ``--config`` takes it."""
    top = recipes_folder()
    files = sorted(top.glob("projects/*/[!_]*.yaml"))
    return {file.relative_to(top).as_posix(): _first_sentence(file.read_text(encoding="utf-8")) for file in files}


def _first_sentence(text: str) -> str:
    """Of the comment at the top; a full stop within a name, as of "custom.yaml", ends none."""
    lines = [line.removeprefix("#").strip() for line in re.match(r"(?:#.*\n)*", text)[0].splitlines()]
    return re.split(r"(?<=\.)\s", " ".join(lines), maxsplit=1)[0].rstrip(".")
