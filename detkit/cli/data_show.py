"""``detkit data show``: a recipe's data in pictures."""

from __future__ import annotations

import argparse
from pathlib import Path

from detkit.cli.options import add_config, check_output, read_config


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Adds the action to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "show",
        help="draw annotated images, proposals, or the regions of one fine-tuning step",
        description="Draws ground truths. With --what proposals it draws the best proposal of each ground truth, with "
        "its IoU; with --what regions, the crops that the network sees in one fine-tuning step.",
    )
    parser.add_argument("--what", choices=("truths", "proposals", "regions"), default="truths", help="what is drawn")
    parser.add_argument(
        "--role", choices=("FINETUNE", "TRAIN", "VAL", "TEST"), default="FINETUNE", help="role of the images"
    )
    parser.add_argument(
        "--count", type=int, default=12, metavar="N", help="number of images, spread over the list (default: 12)"
    )
    parser.add_argument(
        "--output",
        default="shown.png",
        metavar="PLACE",
        help="a picture file for one sheet, or a folder (default: shown.png)",
    )
    parser.set_defaults(places="--output and DETKIT_CACHE")
    add_config(parser)
    return parser


def run(args: argparse.Namespace) -> int:
    """Draws and prints what was written."""
    from detkit.errors import ConfigError
    from detkit.report.data_show import show_data

    if args.count < 1:
        raise ConfigError(f"--count {args.count}: expected 1 or more")
    check_output("--output", args.output)
    print(show_data(read_config(args), args.what, args.role, args.count, Path(args.output)))
    return 0
