"""The words of the command line as config values."""

from __future__ import annotations

from collections.abc import Sequence

from detkit.config.paths import located
from detkit.config.yaml_file import COMMAND_LINE, Leaf, parse_value
from detkit.errors import ConfigError

BRACKETS = {"[": "]", "{": "}"}


def override_leaves(words: Sequence[str]) -> list[Leaf]:
    """A leaf for each ``KEY=VALUE`` word and each pair ``KEY VALUE``; values are read as YAML.

    Raises:
        ConfigError: if a key has no value, or the shell has split a list or a text with spaces.
    """
    leaves: list[Leaf] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        key, equals, text = word.partition("=")
        if not equals:
            if not rest:
                raise ConfigError(f"{COMMAND_LINE}: {key} has no value; write {key}=VALUE{_joined(words)}")
            text = rest.pop(0)
        _refuse_split(key, text, rest)
        leaves.append(located(Leaf(tuple(key.split(".")), parse_value(text), COMMAND_LINE)))
    return leaves


def _refuse_split(key: str, text: str, rest: Sequence[str]) -> None:
    """Refuses a list of which the shell has made several words."""
    end = BRACKETS.get(text[:1])
    if end is None or text.count(text[0]) <= text.count(end):
        return
    ends = [i for i, word in enumerate(rest) if word.endswith(end)]
    whole = " ".join([text, *rest[: ends[0] + 1]]) if ends else f"{text} ...{end}"
    raise ConfigError(f"{COMMAND_LINE}: {key}: {text} is a part of a list; put it in quotes: '{key}={whole}'")


def _joined(words: Sequence[str]) -> str:
    """A hint for a last word that may belong to the value before it: what to write instead."""
    if len(words) < 2 or "=" not in words[-2] or words[-1].partition(".")[0].isupper():
        return ""
    return f", or quotes around a value with spaces: '{words[-2]} {words[-1]}'"
