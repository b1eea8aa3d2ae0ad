"""``detkit cache``: the stored results of all runs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from detkit.errors import ConfigError, counted

if TYPE_CHECKING:
    from detkit.run.stored import Stored


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "cache",
        help="list the stored results of runs, with size, age and the runs that use them, or remove some",
        description="Runs share stored results. A result that you remove can be made again: a run that needs it makes "
        "it. Results that a running run uses are not removed.",
    )
    parser.add_argument("--artifacts", metavar="FOLDER", help="default: artifacts in the cache folder ($DETKIT_CACHE)")
    parser.add_argument(
        "--remove",
        nargs="+",
        metavar="WHAT",
        help="a result as listed, a stage, unused (used by no known run) or all; without --yes, only list them",
    )
    parser.add_argument(
        "--older-than", type=float, default=0.0, metavar="DAYS", help="with --remove: only older results"
    )
    parser.add_argument("--yes", action="store_true", help="with --remove: really remove the listed results")
    return parser


def run(args: argparse.Namespace) -> int:
    """Lists or removes stored results.

    Raises:
        ConfigError: if there is no such folder, or a word names no result.
        ModelError: if a running run uses a result that would be removed.
    """
    from detkit.data.cache import cache_dir
    from detkit.run.stored import chosen, remove, stored

    if not args.older_than >= 0:
        raise ConfigError(f"--older-than {args.older_than:g}: expected a number of days, 0 or more")
    if not args.remove and (args.yes or args.older_than):
        raise ConfigError("--yes and --older-than belong to --remove; say what to remove, such as --remove unused")
    root = Path(args.artifacts) if args.artifacts else cache_dir() / "artifacts"
    everything = stored(root)
    if not args.remove:
        unused = [one for one in everything if not one.runs]
        print(_table(everything))
        print(f"{_sum(everything)} in {root}; no known run uses {_sum(unused)} (--remove unused)")
        return 0
    results = chosen(everything, args.remove, args.older_than)
    print(_table(results))
    if not args.yes:
        print(f"{_sum(results)} would be removed; --yes removes them")
        return 0
    remove(root, results)
    print(f"removed {_sum(results)} from {root}")
    return 0


def _table(results: Sequence[Stored]) -> str:
    lines = [f"{'result':26} {'size':>10} {'age':>9}  used by"]
    for one in results:
        users = ", ".join(map(_shown, one.runs)) or "-"
        state = "" if one.is_finished else "begun, "
        lines.append(f"{one.label:26} {_size(one.size):>10} {one.days:7.1f} d  {state}{users}")
    return "\n".join(lines)


def _shown(run: Path) -> str:
    """A run's folder, short where it lies below the working folder."""
    here = Path.cwd()
    return str(run.relative_to(here)) if run.is_relative_to(here) else str(run)


def _sum(results: Sequence[Stored]) -> str:
    return f"{counted(len(results), 'result')} of {_size(sum(one.size for one in results))}"


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
