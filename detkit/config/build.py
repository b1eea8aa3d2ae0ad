"""Components built from a config."""

from __future__ import annotations

from typing import Any

from detkit.config.layout import SLOTS
from detkit.config.node import Config
from detkit.config.schema import given_of
from detkit.registry import Registry


def build(config: Config, slot: str, **given: Any) -> Any:
    """The component that a slot selects.

    Args:
        config: the config.
        slot: its key, for example "CLASSIFIER".
        given: values for parameters without a default; values that the component does not take are left out.
    """
    return construct(SLOTS[slot].registry, config.component(slot), **given)


def construct(registry: Registry, chosen: dict[str, Any], **given: Any) -> Any:
    """A component from {"NAME": name, name: {KEY: value}}."""
    name = chosen["NAME"]
    component = registry.get(name)
    wanted = given_of(component)
    arguments = {k: v for k, v in given.items() if k in wanted}
    return component(**arguments, **{k.lower(): v for k, v in chosen[name].items()})
