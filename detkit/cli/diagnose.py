"""``detkit diagnose``: the errors of a run, or of the detections of any program."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from detkit.cli.options import add_config, add_detections, read_config, read_run

if TYPE_CHECKING:
    from detkit.diagnosis import Diagnosis

FILE = "diagnosis.json"


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "diagnose",
        help="find the errors of a run, or of the detections of any program",
        description="Prints curves, thresholds, confusion, calibration, Hoiem's and TIDE's errors, the worst images, "
        "lost objects with the step that lost them, and signs of broken labels, names, coordinates or scores. Without "
        "--detections it uses the detections of `detkit train` and writes diagnosis.json to the run's folder. With it, "
        "it uses VOC comp3/comp4 files in a folder, or a COCO results JSON, against DATA.TEST; it then needs neither "
        "images nor weights.",
    )
    add_detections(parser)
    parser.add_argument("--out", metavar="FOLDER", help=f"write {FILE} to this folder, which is created")
    parser.set_defaults(places="--out and OUTPUT_DIR")
    add_config(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Prints the tables and writes the file."""
    from detkit.diagnosis.plain import plain
    from detkit.report.diagnosis_text import diagnosis_text
    from detkit.system.files import write_json, writing

    folder = _checked(args.out)
    if args.detections:
        found = _of_files(args)
    else:
        found, own = _of_run(args)
        folder = folder or own
    if folder is not None:
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / FILE, plain(found))
    print(diagnosis_text(found))
    if folder is not None:
        print(f"\nall figures: {folder / FILE}")
    return 0


def _checked(out: str | None) -> Path | None:
    from detkit.errors import DataError

    if out is None:
        return None
    if not out or "\0" in out or (Path(out).exists() and not Path(out).is_dir()):
        raise DataError(f"--out {out!r}: expected a folder, or a name that is free")
    return Path(out)


def _of_files(args: argparse.Namespace) -> Diagnosis:
    from detkit.evaluation.detection_files import read_detections
    from detkit.report.diagnosis import diagnose_files
    from detkit.run.datasets import Datasets

    config = read_config(args)
    dataset = Datasets(config, needs_images=False)("TEST")
    return diagnose_files(config, dataset, read_detections(Path(args.detections), dataset, config.DATA.TEST))


def _of_run(args: argparse.Namespace) -> tuple[Diagnosis, Path]:
    """The diagnosis, and the run's folder."""
    from detkit.cli.options import log_to
    from detkit.errors import ConfigError, ModelError
    from detkit.report.diagnosis import diagnose_run
    from detkit.run.kinds import DETECTIONS
    from detkit.run.last_run import has_plan

    job = read_run(args)
    if job.last(DETECTIONS, "TEST") is None:
        raise ConfigError("STAGES: no stage detects; add Detect, or give the files of another program: --detections")
    if job.find(DETECTIONS, "TEST") is None:
        command = shlex.join(["detkit", "train", "--config", args.config, *args.overrides])
        raise ModelError(f"{args.config}: nothing was detected yet; run: {command}")
    if args.out is None and not has_plan(job.folder):
        raise ConfigError(f"OUTPUT_DIR: {job.folder} is no folder of a run; give --out FOLDER")
    log_to()
    return diagnose_run(job), job.folder
