"""``detkit doctor``: whether this machine has what detkit needs."""

from __future__ import annotations

import argparse


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Adds the command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "doctor",
        help="versions, OpenCV, devices, precision, disk and memory of this machine",
        description="Works even if torch or OpenCV cannot be imported, and says how to repair them. "
        "Exit code: 0 if detkit can work here, 2 if it cannot.",
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Prints a line for each thing, as it is found."""
    from detkit.errors import counted, one_line
    from detkit.report.doctor import findings

    num_bad = 0
    for finding in findings():
        num_bad += finding.level == "bad"
        print(f"{finding.level:8} {finding.name:12} {one_line(finding.text)}", flush=True)
    print(f"\n{counted(num_bad, 'problem')} to solve" if num_bad else "\ndetkit can work here")
    return 2 if num_bad else 0
