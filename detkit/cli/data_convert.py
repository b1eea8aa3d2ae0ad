"""``detkit data convert``: convert labels of other tools to a format that detkit reads."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

SHOWN = 50


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Adds the action to the parser."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "convert",
        help="convert YOLO, LabelMe, CVAT, VOC, COCO or Open Images to VOC, COCO or YOLO",
        description="Recognises the format of a folder and writes its images and labels into a new folder. Labels that "
        "cannot be converted are counted by kind and image, here and in OUT/conversion.json. A broken label or image "
        "stops the conversion before anything is written, except with --on-bad skip.",
    )
    parser.add_argument("source", metavar="IN", help="folder with images and labels, or its description or label file")
    parser.add_argument("target", metavar="OUT", help="folder to create")
    parser.add_argument("--to", default="voc", metavar="FORMAT", help="voc (default), coco or yolo")
    parser.add_argument(
        "--from", dest="format", default="", metavar="FORMAT", help="voc, coco, yolo, labelme, cvat or open_images"
    )
    parser.add_argument(
        "--on-bad", choices=("stop", "skip"), default="stop", help="skip: leave images with mistakes out"
    )
    parser.add_argument(
        "--exif",
        choices=("stored", "upright"),
        default="stored",
        help="what boxes of images with an EXIF rotation refer to: pixels as stored (default), or as shown upright",
    )
    parser.add_argument("--link", action="store_true", help="link to the image files instead of copying them")
    parser.set_defaults(places="OUT and DETKIT_CACHE")
    return parser


def run(args: argparse.Namespace) -> int:
    """Converts and prints what was converted and what was not."""
    from detkit.data.labels.convert import convert
    from detkit.errors import DataError, counted, one_line
    from detkit.report.convert_text import conversion_text

    place, target = Path(args.source), Path(args.target)
    try:
        done = convert(place, target, args.to, source=args.format, on_bad=args.on_bad, frame=args.exif, link=args.link)
    except DataError as error:
        if len(error.problems) < 2:
            raise
        for line in error.problems[:SHOWN]:
            print(f"cannot be converted: {one_line(line)}", file=sys.stderr)
        more = f", the first {SHOWN} of them above" if len(error.problems) > SHOWN else ""
        raise DataError(
            f"{place}: {counted(len(error.problems), 'mistake')}{more}; correct them, or add --on-bad skip to leave "
            "their images out"
        ) from None
    print(conversion_text(done, args.source, target))
    return 0
