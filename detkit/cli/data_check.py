"""``detkit data check``: the problems of a recipe's data, before a long training run."""

from __future__ import annotations

import argparse
from pathlib import Path

from detkit.cli.options import add_config, check_output, read_config


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Adds the action to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "check",
        help="list the problems of a recipe's data, with counts and sizes",
        description="Reads every image and annotation of the splits that the recipe uses, as training does. "
        "Exit code: 0 if training would succeed, 2 if a problem would stop it.",
    )
    parser.set_defaults(places="--json and DETKIT_CACHE")
    parser.add_argument("--json", metavar="FILE", help="also write the report to this JSON file")
    add_config(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Prints the report."""
    from dataclasses import asdict

    from detkit.errors import counted
    from detkit.report.data_check import SHARES, check_data
    from detkit.report.data_text import report_text
    from detkit.system.files import write_json

    check_output("--json", args.json)
    reports = check_data(read_config(args))
    stops = sum(len(report.problems) for report in reports if report.stops)
    if args.json:
        answer = {"stops": bool(stops), "shares": SHARES, "splits": [asdict(report) for report in reports]}
        write_json(Path(args.json), answer)
    print(report_text(reports))
    stopping = counted(stops, "problem") if stops else "nothing"
    print(f"\n{args.config}: {stopping} would stop training")
    return 2 if stops else 0
