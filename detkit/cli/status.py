"""``detkit status``: which steps of a recipe are done."""

from __future__ import annotations

import argparse

from detkit.cli.options import add_config, read_run


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "status",
        help="show which stages of a recipe are done, and the folders of their results",
        description="Prints a line a step: done, begun, to do or not needed, and its folder. Below a step that is to "
        "be made it prints the changes since the last run that wrote to the recipe's folder.",
    )
    add_config(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Prints a line a step."""
    from detkit.run.last_run import LastRun, differences

    job = read_run(args)
    last = LastRun.of(job.folder)
    for step in job.steps:
        state, partial = job.state(step), job.store.partial(step.folder, step.digest)
        print(f"{step.label:16} {state:10} {partial.with_suffix('')}")
        for difference in differences(step, last) if state in ("begun", "to do") else []:
            print(f"{'':16} since the last run: {difference}")
    return 0
