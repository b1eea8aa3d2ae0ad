"""``detkit list``: the registered components and their keys, and the recipes."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Adds the command to the parser."""
    parser = commands.add_parser("list", help="registered components and recipes; with a name, its config keys")
    parser.add_argument("registry", nargs="?", help="for example BACKBONES")
    parser.add_argument("name", nargs="?", help="for example TorchvisionBackbone")
    parser.add_argument(
        "--project", metavar="FOLDER", help="list this project's components instead of those of the bundled projects"
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Prints what is registered."""
    from detkit.components import load_components
    from detkit.config.project import import_projects
    from detkit.config.recipes import recipes
    from detkit.errors import ConfigError
    from detkit.registry import ALL_REGISTRIES, STAGES, nearest

    load_components()
    import_projects(args.project)
    registries = {r.name: r for r in ALL_REGISTRIES}
    if args.registry is None:
        for name, registry in registries.items():
            print(f"{name}: {', '.join(registry.names())}")
        for recipe, text in recipes().items():
            print(f"{recipe}: {text}")
        return 0
    if args.registry.upper() not in registries:
        hint = nearest(args.registry, registries)
        raise ConfigError(f"no registry {args.registry!r}.{hint} Registries: {', '.join(registries)}.")
    registry = registries[args.registry.upper()]
    for name in [args.name] if args.name else registry.names():
        component = registry.get(name)
        first_line = (component.__doc__ or "").strip().partition("\n")[0]
        print(f"{name}: {first_line or 'says nothing about itself'}")
        if args.name:
            _print_keys("", component)
            for section, settings in component.settings.items() if registry is STAGES else ():
                _print_keys(f"{section}.", settings)
    return 0


def _print_keys(prefix: str, component: Callable[..., Any]) -> None:
    from detkit.config.check import expected
    from detkit.config.schema import fields_of, texts_of
    from detkit.config.yaml_file import value_text

    texts = texts_of(component)
    for key, field in fields_of(component).items():
        print(f"  {prefix}{key} = {value_text(field.default)}  ({expected(field.annotation)})")
        if key in texts:
            print(f"      {texts[key]}")
