"""``detkit data``: check, convert, show or download a data set."""

from __future__ import annotations

import argparse

from detkit.cli import data_check, data_convert, data_get, data_show

ACTIONS = (data_check, data_convert, data_show, data_get)


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Adds the command and its actions to the parser."""
    group: argparse.ArgumentParser = commands.add_parser("data", help="check, convert, show or download a data set")
    inner = group.add_subparsers(dest="action", required=True, metavar="ACTION")
    for action in ACTIONS:
        parser = action.add_parser(inner)
        parser.add_argument("--debug", action="store_true", help="show the traceback of a mistake")
        parser.set_defaults(act=action.run)
    return group


def run(args: argparse.Namespace) -> int:
    """Runs the action."""
    return int(args.act(args))
