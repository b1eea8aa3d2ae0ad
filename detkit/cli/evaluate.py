"""``detkit eval``: metrics of a finished run, or of detection files alone."""

from __future__ import annotations

import argparse
from pathlib import Path

from detkit.cli.options import add_config, add_detections, check_output, log_to


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "eval",
        help="evaluate a finished run, or detection files alone",
        description="Without --detections it evaluates the detections of `detkit train`. With it, it evaluates VOC "
        "comp3/comp4 files in a folder, or a COCO results JSON, against DATA.TEST; it then needs neither images nor "
        "weights.",
    )
    add_detections(parser)
    parser.add_argument("--output", metavar="FILE", help="also write the metrics to this JSON file")
    parser.set_defaults(places="--output, OUTPUT_DIR, ARTIFACTS and DETKIT_CACHE")
    add_config(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Prints the tables."""
    from detkit.evaluation.table import results_table
    from detkit.report.whole_runs import evaluate_files, evaluate_run
    from detkit.system.files import write_json

    check_output("--output", args.output)
    if args.detections:
        results = evaluate_files(args.config, args.overrides, Path(args.detections))
    else:
        results = evaluate_run(Path(args.config), args.overrides, lambda job: log_to(job.folder))
    if args.output:
        write_json(Path(args.output), results)
    print(results_table(results))
    return 0
