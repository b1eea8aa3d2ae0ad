from __future__ import annotations

from dataclasses import dataclass

import pytest

from detkit.components import load_components
from detkit.config.schema import fields_of, given_of, texts_of
from detkit.config.yaml_file import parse_value, value_text
from detkit.registry import ALL_REGISTRIES


@dataclass(frozen=True, kw_only=True)
class Base:
    """Settings.

    Args:
        lr: learning rate.
        decay: what the base says.
    """

    lr: float = 0.1
    decay: float = 0.2


@dataclass(frozen=True, kw_only=True)
class Settings(Base):
    """More settings.

    Args:
        decay: what the class says, over
            two lines: both count.

    Raises:
        ValueError: never.
    """

    decay: float = 0.3
    silent: int = 1


def test_texts_come_from_args_of_the_class_and_of_its_bases():
    assert texts_of(Settings) == {"LR": "learning rate.", "DECAY": "what the class says, over two lines: both count."}


class Part:
    """Args:
    width: of the part.
    """

    def __init__(self, *, index: int, seed: int, width: int = 3, depth: int = 1) -> None:
        self.made_of = (index, seed, width, depth)


class Wider(Part):
    def __init__(self, *, depth: int = 2, **given: int) -> None:
        super().__init__(depth=depth, **given)


class Same(Wider):
    """Has no constructor of its own."""


@pytest.mark.parametrize("part", [Wider, Same])
def test_a_constructor_that_hands_its_arguments_on_takes_those_of_its_base(part):
    keys = {name: field.default for name, field in fields_of(part).items()}
    assert keys == {"WIDTH": 3, "DEPTH": 2} and given_of(part) == {"index", "seed"}
    assert fields_of(part)["WIDTH"].annotation is int


def test_arguments_that_no_base_takes_are_nobodys():
    class Alone:
        def __init__(self, *, size: int = 1, **given: int) -> None:
            pass

    assert list(fields_of(Alone)) == ["SIZE"] and given_of(Alone) == set()


def test_every_key_of_every_component_has_its_text():
    load_components()
    for registry in ALL_REGISTRIES:
        for name in registry.names():
            component = registry.get(name)
            assert texts_of(component).keys() == fields_of(component).keys(), name


@pytest.mark.parametrize("value", [None, "", "a b", 1e-5, True, [0.5, 0.7], [], "true", "12"])
def test_text_of_a_value_is_read_back(value):
    text = value_text(value)
    assert "\n" not in text
    assert parse_value(text) == value
