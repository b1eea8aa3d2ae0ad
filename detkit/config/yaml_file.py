"""YAML in, with the line of every key; duplicate keys and other surprises are errors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from detkit.errors import ConfigError


class _Loader(yaml.SafeLoader):
    """Reads 1e-3 as a number, as YAML 1.2 does."""


_Loader.yaml_implicit_resolvers = {k: list(v) for k, v in yaml.SafeLoader.yaml_implicit_resolvers.items()}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


@dataclass(frozen=True)
class Leaf:
    """One value of a config file.

    Args:
        path: the keys down to it, for example ("CLASSIFIER", "LinearSVM", "C").
        value: a scalar or a list; an empty dict for a section without keys.
        origin: file:line, or "command line".
    """

    path: tuple[str, ...]
    value: Any
    origin: str

    @property
    def key(self) -> str:
        """The dotted path."""
        return ".".join(self.path)


def parse_value(text: str) -> Any:
    """A command-line value, read as YAML; text that is no YAML stays text."""
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError:
        return text


def read_leaves(path: Path) -> list[Leaf]:
    """Every value of a config file, in file order.

    Raises:
        ConfigError: the file is missing, no YAML, no mapping, empty, or sets a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise ConfigError(f"config {path}: {reason}") from error
    loader = _Loader(text)
    try:
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
    finally:
        loader.dispose()


def _leaves(loader: _Loader, node: yaml.MappingNode, path: Path, above: tuple[str, ...]) -> list[Leaf]:
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
            value = loader.construct_object(value_node, deep=True)
            found.append(Leaf((*above, key), value, f"{path}:{line}"))
    return found
