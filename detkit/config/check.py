"""Whether a value fits a key's type and range."""

from __future__ import annotations

import math
import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from detkit.config.ranges import Range

LARGEST_WHOLE = 2**63 - 1
_PLAIN = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    type(None): "null",
}


def expected(annotation: Any) -> str:
    """A text that says which values a key accepts."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        ranges = [a.text for a in args[1:] if isinstance(a, Range)]
        return " ".join([expected(args[0]), *ranges])
    if origin is Literal:
        return "one of " + ", ".join(str(a) for a in args)
    if origin in (Union, types.UnionType):
        return " or ".join(expected(a) for a in args)
    if origin in (list, tuple):
        return f"a list, each {expected(args[0])}" if args else "a list"
    return _PLAIN.get(annotation, "any value")


def checked(value: Any, annotation: Any) -> Any:
    """The value in the key's own type: an integer for a float key becomes a float, a list for a tuple key a tuple.

    Raises:
        ValueError: if the value does not fit; the text says what is allowed.
    """
    try:
        return _convert(value, annotation)
    except ValueError:
        raise ValueError(f"expected {expected(annotation)}, got {value!r}") from None


def _convert(value: Any, annotation: Any) -> Any:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        value = _convert(value, args[0])
        if any(isinstance(a, Range) and value not in a for a in args[1:]):
            raise ValueError
        return value
    if origin is Literal:
        for allowed in args:
            if type(value) is type(allowed) and value == allowed:
                return value
        raise ValueError
    if origin in (Union, types.UnionType):
        for choice in args:
            try:
                return _convert(value, choice)
            except ValueError:
                continue
        raise ValueError
    if origin in (list, tuple):
        if not isinstance(value, (list, tuple)):
            raise ValueError
        return origin(_convert(v, args[0]) for v in value)
    return _plain(value, annotation)


def _plain(value: Any, annotation: Any) -> Any:
    if type(value) is int and abs(value) > LARGEST_WHOLE:
        raise ValueError
    if annotation is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if annotation is str and type(value) is int:
        return str(value)
    if annotation is str and type(value) is str and not _is_writable(value):
        raise ValueError
    if annotation is Any or (annotation is not float and type(value) is annotation):
        return value
    raise ValueError


def _is_writable(text: str) -> bool:
    """No path has a NUL in it, and no file half of a surrogate pair."""
    return "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)
