from __future__ import annotations

from dataclasses import dataclass

import pytest

from detkit.components import load_components
from detkit.config.schema import fields_of, texts_of
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
