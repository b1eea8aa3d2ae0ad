"""``detkit train``: every stage of a recipe."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from detkit.cli.options import add_config, log_to, read_run

if TYPE_CHECKING:
    from detkit.run.runner import Run
    from detkit.system.world import World

log = logging.getLogger("detkit")


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "train",
        help="run every stage of a recipe: proposals, network, classifiers, box heads, detections, AP",
        description="Runs the stages that are not finished, and resumes an interrupted run. "
        "Writes runs/<config name>/: report.html, results.json, detections/, model/, pictures.png, log.txt.",
    )
    add_config(parser)
    parser.add_argument("--from", dest="first", default="", metavar="STAGE", help="make this stage and the rest again")
    parser.add_argument("--until", dest="last", default="", metavar="STAGE", help="stop after this stage")
    parser.add_argument("--fresh", action="store_true", help="make every stage again")
    return parser


def run(args: argparse.Namespace) -> int:
    """Runs the recipe and prints its AP table."""
    from detkit.report.notices import notices
    from detkit.report.outputs import write_outputs
    from detkit.system.world import World

    with World.joined() as world:
        job = world.first_alone(lambda: _checked(args, world))
        world.refuse_unlike([f"{step.label} {step.digest}" for step in job.steps])
        log_to(job.folder)
        for line in notices(job) if world.is_first else []:
            log.warning(line)
        first = args.first or (job.steps[0].id if args.fresh and job.steps else "")
        if world.is_first and not first and not args.last and job.is_finished():
            print(f"{args.config}: finished already; --fresh makes it again")
        with job.alone():
            job.execute(first=first, last=args.last)
            for line in write_outputs(job) if world.is_first else []:
                print(line)
    return 0


def _checked(args: argparse.Namespace, world: World) -> Run:
    from detkit.run.folders import refuse_folders

    job = read_run(args, world)
    job.check_stages(args.first, args.last)
    if world.is_first:
        refuse_folders(job, Path(args.config))
    return job
