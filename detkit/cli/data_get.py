"""``detkit data get``: PASCAL VOC from its own server."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Adds the action to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "get",
        help="download and unpack voc2007 or voc2012",
        description="Downloads the archives, checks and unpacks them; an interrupted download resumes. Archives that "
        "are in the folder already are not downloaded, so you can copy them to a machine without network.",
    )
    parser.add_argument("name", metavar="NAME", help="voc2007 (trainval and test) or voc2012")
    parser.add_argument("--folder", default="data", metavar="DIR", help="folder for VOCdevkit (default: data)")
    parser.set_defaults(places="--folder")
    return parser


def run(args: argparse.Namespace) -> int:
    """Downloads, and prints a command that trains on the data."""
    from detkit.data.download import get

    root = get(args.name, Path(args.folder))
    print(f"{root}: ready; detkit train --config projects/rcnn/alexnet_svm.yaml DATA.ROOT={shlex.quote(str(root))}")
    return 0
