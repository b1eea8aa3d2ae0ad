"""``detkit init``: write a recipe for the data in a folder."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from detkit.cli.options import check_output


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Adds the command to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "init",
        help="write a commented recipe for the data in a folder",
        description="Recognises the data set, reads all of it, and writes a recipe with its classes and splits. "
        "Comments in the recipe say what you can change.",
    )
    parser.add_argument("root", metavar="FOLDER", help="photographs with VOC, COCO or YOLO labels")
    parser.add_argument(
        "--output", default="", metavar="FILE", help="recipe to write (default: FOLDER's name with .yaml)"
    )
    parser.add_argument(
        "--base",
        default="projects/rcnn/custom.yaml",
        metavar="RECIPE",
        help="recipe that the new one extends (default: projects/rcnn/custom.yaml)",
    )
    parser.set_defaults(places="--output and DETKIT_CACHE")
    return parser


def run(args: argparse.Namespace) -> int:
    """Writes the recipe and prints the next commands."""
    from detkit.errors import DataError
    from detkit.report.new_recipe import new_recipe
    from detkit.system.files import write_atomically

    root = Path(args.root)
    file = Path(args.output or f"{root.resolve().name}.yaml")
    check_output("--output", str(file))
    if file.exists():
        raise DataError(f"{file}: exists already; name another file with --output")
    write_atomically(file, new_recipe(root, file, args.base).encode())
    name = shlex.quote(str(file))
    print(f"{file}: written; next:\ndetkit data show --config {name}\ndetkit train --config {name}")
    return 0
