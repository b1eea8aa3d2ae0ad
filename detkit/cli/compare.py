"""``detkit compare``: what differs between two runs, or between two detection files."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING

from detkit.cli.options import check_output
from detkit.errors import ConfigError

if TYPE_CHECKING:
    from detkit.report.compare_sides import Compared

PICTURES = "pictures.png"


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "compare",
        help="what differs between two runs, or between two detection files",
        description="Give two folders of runs. Prints settings that differ, AP by class with the paired 95 % interval "
        "of the difference, and detections that appeared, vanished, or became right or wrong. With --detections and "
        "--config it compares two detection files of any program; it then needs neither images nor weights.",
    )
    parser.add_argument("--config", metavar="FILE", help="with --detections: recipe with DATA.TEST and EVALUATORS")
    parser.add_argument(
        "--detections", nargs=2, metavar=("A", "B"), help="folders of VOC result files, or COCO results JSON"
    )
    parser.add_argument(
        "--min-score",
        type=float,
        metavar="X",
        help="with --detections: lowest score that is shown; default: for each file and class the one of best F1",
    )
    parser.add_argument("--out", metavar="FOLDER", help="also write comparison.json, comparison.txt and pictures.png")
    parser.add_argument("overrides", nargs="*", metavar="RUN|KEY=VALUE", help="two runs, or with --config keys to set")
    parser.set_defaults(places="--out and DETKIT_CACHE")
    return parser


def run(args: argparse.Namespace) -> int:
    """Prints the report."""
    from detkit.report.compare import compare
    from detkit.report.compare_text import comparison_sheet, comparison_text
    from detkit.system.files import write_atomically, write_json
    from detkit.visualize import write_image

    check_output("--out", args.out)
    given = _given(args)
    found = compare(given.config, given.dataset, *given.sides)
    text = comparison_text(found, given.settings)
    print(text)
    if args.out:
        folder = Path(args.out)
        folder.mkdir(exist_ok=True)
        write_json(folder / "comparison.json", found.plain(given.settings))
        write_atomically(folder / "comparison.txt", f"{text}\n".encode(errors="backslashreplace"))
        (folder / PICTURES).unlink(missing_ok=True)  # of an earlier comparison
        sheet = comparison_sheet(found)
        if sheet is not None:
            write_image(folder / PICTURES, sheet)
    return 0


def _given(args: argparse.Namespace) -> Compared:
    """The two sides that the arguments name."""
    from detkit.config import load_config
    from detkit.report.compare_sides import of_files, of_runs

    if args.detections:
        if not args.config:
            raise ConfigError(
                "--detections: name a recipe with --config; its DATA.TEST has the images and ground truths"
            )
        if args.min_score is not None and not math.isfinite(args.min_score):
            raise ConfigError(f"--min-score {args.min_score}: expected a finite number")
        first, second = map(Path, args.detections)
        return of_files(load_config(args.config, args.overrides), first, second, args.min_score)
    for option, value in (("--config", args.config), ("--min-score", args.min_score)):
        if value is not None:
            raise ConfigError(f"{option} goes with --detections; runs have a config and thresholds of their own")
    if len(args.overrides) != 2:
        raise ConfigError(f"expected two folders of runs, got {len(args.overrides)}: {' '.join(args.overrides)}")
    return of_runs(*map(Path, args.overrides))
