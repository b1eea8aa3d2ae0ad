from __future__ import annotations

import pytest

from detkit.errors import ConfigError
from detkit.registry import QUESTIONS
from detkit.study.answer import Answer
from detkit.study.asking import preset, questions
from detkit.study.question import Question
from detkit.study.text import Text


class Asked(Question):
    title = Text("Why?", "为什么？")
    presets = {"tiny": "a.yaml"}

    def answer(self, lab):
        return Answer(Text("So."))


@pytest.fixture
def some():
    with QUESTIONS.isolated():
        QUESTIONS._obj_map.clear()
        for name in ("q3.10", "warp", "q3.2"):
            QUESTIONS.register(name=name)(type(name, (Asked,), {}))
        yield


def test_numbers_are_ordered_as_numbers_and_words_come_after_them(some):
    assert list(questions()) == ["q3.2", "q3.10", "warp"]
    assert list(questions(["warp", "q3.2", "warp"])) == ["warp", "q3.2"]


def test_a_wrong_name_is_answered_with_the_nearest(some):
    with pytest.raises(ConfigError, match=r"no 'q3.20'. Did you mean q3.2\? Registered: q3.10, q3.2, warp"):
        questions(["q3.20"])


def test_a_preset_is_that_of_the_questions(some):
    asked = list(questions().values())
    assert preset("tiny", asked) == "a.yaml"
    with pytest.raises(ConfigError, match="--preset large: there is no such preset; allowed: tiny"):
        preset("large", asked)
