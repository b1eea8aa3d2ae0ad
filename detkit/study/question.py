"""The base class of questions about a paper."""

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
    """A question that runs of a recipe answer. It is registered in ``QUESTIONS`` under its name on the command line.

    Attributes:
        title: the question.
        source: the place in the paper.
        presets: recipes that answer it, by name.
    """

    title: Text
    source: str = ""
    presets: ClassVar[Mapping[str, str]] = {}

    def settings(self, config: Config) -> Sequence[Setting]:
        """The settings that it needs, so that the runs of several questions are planned together."""
        return ()

    @abstractmethod
    def answer(self, lab: Lab) -> Answer:
        """The answer of the runs. It names settings that the recipe cannot run."""
