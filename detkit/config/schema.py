"""Config keys from constructor signatures."""

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
        default: the value if no file sets it.
    """

    annotation: Any
    default: Any


def fields_of(component: Callable[..., Any]) -> dict[str, Field]:
    """The config keys of a component: its constructor's parameters with a default, in capitals.

    They include the base's keys if the constructor passes ``**given`` on to the base.
    """
    # A data class's own annotations know the modules of its bases; its generated __init__ does not.
    is_plain_class = inspect.isclass(component) and not is_dataclass(component)
    hints = get_type_hints(component.__init__ if is_plain_class else component, include_extras=True)
    base = _handed_on_to(component)
    handed = fields_of(base) if base else {}
    return handed | {
        name.upper(): Field(hints.get(name, Any), p.default)
        for name, p in inspect.signature(component).parameters.items()
        if p.default is not inspect.Parameter.empty
    }


def texts_of(component: Callable[..., Any]) -> dict[str, str]:
    """The description of each config key of a component, from the Args of its class and of the bases, in one line."""
    texts: dict[str, str] = {}
    for documented in reversed(getattr(component, "__mro__", (component,))):
        section = re.search(r"^Args:\n((?: +.*\n)+)", inspect.cleandoc(documented.__doc__ or "") + "\n", re.MULTILINE)
        for name, text in re.findall(r"^    (\w+): (.*(?:\n {5,}.*)*)", section[1] if section else "", re.MULTILINE):
            texts[name.upper()] = " ".join(text.split())
    return {key: texts[key] for key in fields_of(component) if key in texts}


def given_of(component: Callable[..., Any]) -> set[str]:
    """The parameters without a default, which the builder gives; also those that ``**given`` passes to a base."""
    base, own = _handed_on_to(component), inspect.signature(component).parameters
    handed = given_of(base) - own.keys() if base else set()
    return handed | {
        name
        for name, p in own.items()
        if p.default is inspect.Parameter.empty and p.kind is not inspect.Parameter.VAR_KEYWORD
    }


def _handed_on_to(component: Callable[..., Any]) -> type | None:
    """The base whose constructor gets what a constructor takes as ``**given``; None for one that takes no such."""
    kinds = {p.kind for p in inspect.signature(component).parameters.values()}
    if not inspect.isclass(component) or inspect.Parameter.VAR_KEYWORD not in kinds:
        return None
    base = [c for c in component.__mro__ if "__init__" in vars(c)][1]
    return None if base is object else base
