"""``detkit config``: the resolved config of a recipe."""

from __future__ import annotations

import argparse

from detkit.cli.options import add_config, read_config


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Adds the command to the parser."""
    parser = commands.add_parser("config", help="check a recipe and print it with all defaults")
    add_config(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Prints YAML."""
    print(read_config(args).text(), end="")
    return 0
