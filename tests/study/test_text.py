from __future__ import annotations

from detkit.study.text import NOTHING, Text, joined


def test_fields_are_filled_in_each_language():
    said = Text("{who} has {n:.1f}", "{who}有{n:.1f}").format(who=Text("the cat", "猫"), n=2)
    assert (said.of("en"), said.of("zh")) == ("the cat has 2.0", "猫有2.0")


def test_a_text_without_chinese_is_the_same_in_both():
    assert Text("fc7").of("zh") == "fc7"
    assert joined([Text("One.", "一。"), NOTHING, Text("fc7")]) == Text("One. fc7", "一。fc7")
    assert Text("a", "甲") + Text("b", "乙") == Text("a b", "甲乙")
