from __future__ import annotations

import pytest

from detkit.errors import ConfigError
from detkit.study.ablation import Ablation, swept


def test_a_comma_outside_of_brackets_and_quotes_parts_values():
    words = ["A.B=1,2", "C=[1, 2],[3]", "D=[1, 2]", 'E="x,y"', "SEED=3", "F=a, b"]
    values, others = swept(words)
    assert values == {"A.B": ["1", "2"], "C": ["[1, 2]", "[3]"], "F": ["a", "b"]}
    assert others == ["D=[1, 2]", 'E="x,y"', "SEED=3"]


def test_every_combination_is_a_setting_and_the_first_values_come_first():
    ablation = Ablation({"CLASSIFIER.NAME": ["LinearSVM", "Softmax"], "SEED": ["3", "4"]})
    settings = ablation.settings(None)
    assert [s.label.en for s in settings] == [
        "NAME=LinearSVM, SEED=3",
        "NAME=LinearSVM, SEED=4",
        "NAME=Softmax, SEED=3",
        "NAME=Softmax, SEED=4",
    ]
    assert settings[3].keys == {"CLASSIFIER.NAME": "Softmax", "SEED": 4}
    assert settings[3].words == ["CLASSIFIER.NAME=Softmax", "SEED=4"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "no key has several values; write KEY=V1,V2"),
        (["SEED=3"], "no key has several values"),
        (["SEED=3,"], "SEED=3,: expected different values"),
        (["SEED=3,3"], "SEED=3,3: expected different values"),
        (["SEED=3,4", "SEED=5,6"], "SEED=5,6: expected different values"),
    ],
)
def test_words_that_vary_nothing_are_refused(words, told):
    with pytest.raises(ConfigError, match=told):
        swept(words)


def test_more_combinations_than_anybody_reads_are_refused():
    many = [str(n) for n in range(11)]
    with pytest.raises(ConfigError, match="121 combinations of A, B are too many; allowed: 100"):
        Ablation({"A": many, "B": many})
