"""Config keys read off constructor signatures."""

from __future__ import annotations

import inspect
import re
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


def texts_of(component: Callable[..., Any]) -> dict[str, str]:
    """What docstrings say of each config key of a component: the Args of its class and of the bases, a line each."""
    texts: dict[str, str] = {}
    for documented in reversed(getattr(component, "__mro__", (component,))):
        section = re.search(r"^Args:\n((?: +.*\n)+)", inspect.cleandoc(documented.__doc__ or "") + "\n", re.MULTILINE)
        for name, text in re.findall(r"^    (\w+): (.*(?:\n {5,}.*)*)", section[1] if section else "", re.MULTILINE):
            texts[name.upper()] = " ".join(text.split())
    return {key: texts[key] for key in fields_of(component) if key in texts}


def given_of(component: Callable[..., Any]) -> set[str]:
    """The parameters without a default: the builder gives them."""
    return {
        name
        for name, p in inspect.signature(component).parameters.items()
        if p.default is inspect.Parameter.empty and p.kind is not inspect.Parameter.VAR_KEYWORD
    }
