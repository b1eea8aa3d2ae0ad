"""``detkit estimate``: the time, disk and memory that a run of a recipe would take."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from detkit.cli.options import add_config, check_output, read_run

if TYPE_CHECKING:
    from detkit.report.estimate import Estimate


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "estimate",
        help="estimate time, disk and memory of a recipe on this machine, from a short measurement",
        description="Computes the proposals of three images, two network passes and a few training steps, and "
        "multiplies. Finished steps cost nothing. It stores no results.",
    )
    add_config(parser)
    parser.set_defaults(places="--json, ARTIFACTS and DETKIT_CACHE")
    parser.add_argument("--json", metavar="FILE", help="also write the figures to this JSON file")
    return parser


def run(args: argparse.Namespace) -> int:
    """Prints a line a step, the sums, and what they leave out."""
    from detkit.report.estimate import estimate
    from detkit.system.files import write_json

    check_output("--json", args.json)
    found = estimate(read_run(args))
    if args.json:
        write_json(Path(args.json), found.plain())
    print(_table(found))
    return 0


def _table(found: Estimate) -> str:
    lines = [f"{'step':16} {'state':10} {'time':>9} {'disk':>9}"]
    for one in found.steps:
        lines.append(f"{one.step:16} {one.state:10} {_time(one.cost.seconds):>9} {_size(one.cost.kept):>9}")
    lines += [
        f"{'all':16} {'':10} {_time(found.seconds):>9} {_size(found.kept):>9}",
        f"disk at most {_size(found.most)} while checkpoints are kept; {_size(found.free)} are free",
        f"memory at least {_size(found.memory)}: what these measurements took, with one worker"
        if found.memory
        else "memory: not measured, this system does not count it",
        "not known:",
        *(f"  {line}" for line in found.unknown),
    ]
    return "\n".join(lines)


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"


def _size(count: int) -> str:
    for unit, length in (("GB", 10**9), ("MB", 10**6)):
        if count >= length:
            return f"{count / length:.1f} {unit}"
    return f"{count / 1000:.1f} kB"
