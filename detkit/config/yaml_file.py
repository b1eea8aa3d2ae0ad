"""A YAML reader that knows the line of every key. Duplicate keys and the like are errors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from detkit.errors import ConfigError
from detkit.system.reading import MIB, bounded_text

MAX_BYTES = 4 * MIB
COMMAND_LINE = "command line"
"""The origin of a leaf that stands in no file."""
NOT_YAML = (yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What PyYAML raises; its own errors, and those of Python for a date like 2001-99-99 or lists in lists without end."""


class PlainLoader(yaml.SafeLoader):
    """A loader for plain values: no tags, no aliases; 1e-3 is a number, as in YAML 1.2."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Refuses aliases, since a few aliases of aliases can expand to gigabytes."""
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.composer.ComposerError(
                None, None, f"aliases such as *{event.anchor} are not read; write the value out", event.start_mark
            )
        return super().compose_node(parent, index)


PlainLoader.yaml_implicit_resolvers = {k: list(v) for k, v in yaml.SafeLoader.yaml_implicit_resolvers.items()}
PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


@dataclass(frozen=True)
class Leaf:
    """One value of a config file.

    Args:
        path: the keys down to it, for example ("CLASSIFIER", "LinearSVM", "C").
        value: a scalar or a list; an empty dict for a section without keys.
        origin: file:line, or COMMAND_LINE.
    """

    path: tuple[str, ...]
    value: Any
    origin: str

    @property
    def key(self) -> str:
        """The dotted path."""
        return ".".join(self.path)


def parse_value(text: str) -> Any:
    """A command-line value, read as YAML. Text that is no YAML stays text."""
    try:
        return yaml.load(text, PlainLoader)
    except NOT_YAML:
        return text


def value_text(value: Any) -> str:
    """A value in the form for a config file and the command line, on one line."""
    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=float("inf"))
    return text.strip().removesuffix("\n...")


def read_leaves(path: Path) -> list[Leaf]:
    """Every value of a config file, in file order.

    Raises:
        ConfigError: if the file is missing, empty, no YAML or no mapping, or sets a key twice.
    """
    try:
        text = bounded_text(path, MAX_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise ConfigError(f"config {path}: {reason}") from error
    try:
        loader = PlainLoader(text)
        root = loader.get_single_node()
        if root is None:
            raise ConfigError(f"config {path}: the file is empty; it needs at least one KEY: value")
        if not isinstance(root, yaml.MappingNode):
            raise ConfigError(f"config {path}: expected KEY: value lines at the top, got something else")
        return _leaves(loader, root, path, ())
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{path}:{line}: not readable as YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"config {path}: not readable as YAML: {str(error).splitlines()[0]}") from error
    except NOT_YAML as error:
        raise ConfigError(f"config {path}: not readable as YAML: {type(error).__name__}: {error}") from error


def _leaves(loader: PlainLoader, node: yaml.MappingNode, path: Path, above: tuple[str, ...]) -> list[Leaf]:
    found: list[Leaf] = []
    lines: dict[str, int] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise ConfigError(f"{path}:{line}: expected a key in words, got {key!r}")
        if key in lines:
            raise ConfigError(f"{path}:{line}: {'.'.join((*above, key))} is set twice, first in line {lines[key]}")
        lines[key] = line
        if isinstance(value_node, yaml.MappingNode) and value_node.value:
            found += _leaves(loader, value_node, path, (*above, key))
        else:
            value = _value(loader, value_node, f"{path}:{line}")
            found.append(Leaf((*above, key), value, f"{path}:{line}"))
    return found


def _value(loader: PlainLoader, node: yaml.Node, origin: str) -> Any:
    try:
        return loader.construct_object(node, deep=True)
    except yaml.YAMLError:
        raise
    except NOT_YAML as error:
        raise ConfigError(f"{origin}: not readable as YAML: {error}; put text in quotes") from error
