"""What every question to a paper gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

from detkit.config.node import Config
from detkit.study.answer import Answer
from detkit.study.lab import Lab
from detkit.study.setting import Setting
from detkit.study.text import Text


class Question(ABC):
    """A question that runs of a recipe answer; registered in ``QUESTIONS`` under the name that people ask by.

    Attributes:
        title: the question.
        source: where the paper says something of it.
        presets: recipes that answer it, by name.
    """

    title: Text
    source: str = ""
    presets: ClassVar[Mapping[str, str]] = {}

    def settings(self, config: Config) -> Sequence[Setting]:
        """What must be run for it, so that the runs of several questions are planned together."""
        return ()

    @abstractmethod
    def answer(self, lab: Lab) -> Answer:
        """What the runs say; settings that the recipe cannot run are named, not left out."""
