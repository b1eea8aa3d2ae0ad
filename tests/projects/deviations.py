"""The differences that a project's README lists below DEVIATIONS."""

from __future__ import annotations

import re


def differences(text: str) -> list[dict[str, str]]:
    """For each difference its topic and what its points say: {"topic": ..., "paper": ..., "detkit": ...}."""
    found = []
    for part in re.split(r"^####? ", text.partition("## DEVIATIONS")[2], flags=re.MULTILINE)[1:]:
        topic, _, points = part.partition("\n")
        said = re.findall(r"^- \*([^*\n]+)\*: (.*(?:\n  .*)*)", points, flags=re.MULTILINE)
        if said:
            found.append({"topic": topic, **{name: " ".join(value.split()) for name, value in said}})
    return found
