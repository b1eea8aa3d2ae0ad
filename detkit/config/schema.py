"""Config keys read off constructor signatures."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, is_dataclass
from typing import Any, get_type_hints


@dataclass(frozen=True)
class Field:
    """One config key.

    Args:
        annotation: its type, with its range as ``Annotated`` metadata.
        default: the value where no file sets it.
    """

    annotation: Any
    default: Any


def fields_of(component: Callable[..., Any]) -> dict[str, Field]:
    """The config keys of a component: its constructor's parameters that have a default, in capitals."""
    # A data class's own annotations know the modules of its bases; its generated __init__ does not.
    is_plain_class = inspect.isclass(component) and not is_dataclass(component)
    hints = get_type_hints(component.__init__ if is_plain_class else component, include_extras=True)
    return {
        name.upper(): Field(hints.get(name, Any), p.default)
        for name, p in inspect.signature(component).parameters.items()
        if p.default is not inspect.Parameter.empty
    }


def given_of(component: Callable[..., Any]) -> set[str]:
    """The parameters without a default: the builder gives them."""
    return {
        name
        for name, p in inspect.signature(component).parameters.items()
        if p.default is inspect.Parameter.empty and p.kind is not inspect.Parameter.VAR_KEYWORD
    }
