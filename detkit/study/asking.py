"""The registered questions, and the runs that they need."""

from __future__ import annotations

import re
from collections.abc import Sequence

from detkit.errors import ConfigError
from detkit.registry import QUESTIONS
from detkit.study.lab import Lab
from detkit.study.question import Question
from detkit.study.setting import AS_IT_IS


def questions(names: Sequence[str] = ()) -> dict[str, Question]:
    """The questions of these names, or all; q3.2 comes before q3.10.

    Raises:
        ConfigError: if no question has this name; the message has the nearest and all names.
    """
    chosen = [*dict.fromkeys(names)] or sorted(QUESTIONS.names(), key=_place)
    return {name: QUESTIONS.get(name)() for name in chosen}


def preset(name: str, asked: Sequence[Question]) -> str:
    """The recipe of a preset.

    Raises:
        ConfigError: if a question has no such preset.
    """
    for question in asked:
        if name not in question.presets:
            known = ", ".join(question.presets) or "none"
            raise ConfigError(f"--preset {name}: there is no such preset; allowed: {known}")
    return asked[0].presets[name]


def make(lab: Lab, asked: Sequence[Question]) -> None:
    """Plans all runs of these questions together, then makes them.

    Raises:
        ConfigError: if the recipe itself cannot be used.
    """
    settings = [setting for question in asked for setting in question.settings(lab.config)]
    lab.plan([AS_IT_IS, *settings])
    lab.make(settings)


def _place(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]
