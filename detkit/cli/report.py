"""``detkit report``: a run, or detection files alone, as one page."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from detkit.cli.options import add_config, add_detections, check_output, log_to, read_config, read_run

if TYPE_CHECKING:
    from detkit.report.page.inputs import Inputs


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "report",
        help="write a page with the figures, plots and pictures of a run, or of detection files alone",
        description="Without --detections it writes report.html into the run's folder, as training does at its end. "
        "With it, it reports on VOC comp3/comp4 files in a folder, or a COCO results JSON, against DATA.TEST. It shows "
        "the images that it finds.",
    )
    add_detections(parser)
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="page to write; default: report.html in the run's folder, or here with --detections",
    )
    parser.add_argument("--plots", metavar="FOLDER", help="also write each plot to a file in this folder")
    parser.add_argument("--format", choices=("svg", "png"), default="svg", help="format of --plots (default: svg)")
    parser.set_defaults(places="--output, --plots and OUTPUT_DIR")
    add_config(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Writes the page and prints its path."""
    from detkit.report.page.build import sections, write_page, write_plots
    from detkit.system.files import writing

    check_output("--output", args.output)
    inputs, file = _of_files(args) if args.detections else _of_run(args)
    parts = sections(inputs)
    write_page(file, inputs, parts)
    print(f"report: {file}")
    if args.plots:
        with writing(Path(args.plots)):
            written = write_plots(Path(args.plots), parts, f".{args.format}")
        print(f"plots: {len(written)} in {args.plots}")
    return 0


def _of_files(args: argparse.Namespace) -> tuple[Inputs, Path]:
    from detkit.report.page.inputs import Inputs

    return Inputs.of_files(read_config(args), Path(args.detections)), Path(args.output or "report.html")


def _of_run(args: argparse.Namespace) -> tuple[Inputs, Path]:
    from detkit.errors import ModelError
    from detkit.report.notices import notices
    from detkit.report.page.inputs import Inputs
    from detkit.run.folders import refuse_folders
    from detkit.run.run_folder import REPORT

    job = read_run(args)
    if not any(job.result(step) for step in job.steps):
        command = shlex.join(["detkit", "train", "--config", args.config, *args.overrides])
        raise ModelError(f"{args.config}: nothing of this run is finished yet; run: {command}")
    if not args.output:
        refuse_folders(job, Path(args.config))
        job.folder.mkdir(parents=True, exist_ok=True)
    log_to()
    return Inputs.of_run(job, notices(job)), Path(args.output or job.folder / REPORT)
