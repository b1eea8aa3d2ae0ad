"""``detkit status``: what of a recipe is done."""

from __future__ import annotations

import argparse

from detkit.cli.options import add_config, read_run


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declares the command."""
    parser = commands.add_parser(
        "status",
        help="which stages of a recipe are done, and where their results lie",
        description="A line a step: done, begun or to do, and its folder. Below a step that is not done stands what "
        "changed since the last run that wrote to the recipe's folder.",
    )
    add_config(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Prints a line a step."""
    from detkit.stages.record import LastRun, differences

    job = read_run(args)
    last = LastRun.of(job.folder)
    for step in job.steps:
        folder, partial = job.store.find(step.name, step.digest), job.store.partial(step.name, step.digest)
        state = "done" if folder else "begun" if partial.is_dir() else "to do"
        print(f"{step.label:16} {state:6} {folder or partial.with_suffix('')}")
        for difference in [] if folder else differences(step, last):
            print(f"{'':16} since the last run: {difference}")
    return 0
