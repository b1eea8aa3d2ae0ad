"""``detkit data get``: PASCAL VOC from its own server."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declares the action."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "get",
        help="fetch and unpack voc2007 or voc2012",
        description="Fetches the archives, goes on where an earlier try broke off, checks and unpacks them. Archives "
        "that lie in the folder already are taken, so a machine without network can be given them.",
    )
    parser.add_argument("name", metavar="NAME", help="voc2007 (trainval and test) or voc2012")
    parser.add_argument("--folder", default="data", metavar="DIR", help="where VOCdevkit is put (data)")
    parser.set_defaults(places="--folder")
    return parser


def run(args: argparse.Namespace) -> int:
    """Fetches and prints the words that train on it."""
    from detkit.data.download import get

    root = get(args.name, Path(args.folder))
    print(f"{root}: ready; detkit train --config projects/rcnn/alexnet_svm.yaml DATA.ROOT={shlex.quote(str(root))}")
    return 0
