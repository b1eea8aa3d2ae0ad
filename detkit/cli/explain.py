"""``detkit explain``: one region of an image followed through a trained model."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from detkit.errors import ConfigError


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "explain",
        help="follow one region of an image through a trained model: why it is found, or why not",
        description="Prints the rank of the region among the proposals, its strongest units, its scores and the "
        "features that make them, how the box head moves it, and what suppresses it. Writes explain.png, which shows "
        "what the network sees of the region, and explain.json.",
    )
    parser.add_argument(
        "--model", required=True, metavar="MODEL", help="a model folder, RUN/model, or an installed model"
    )
    parser.add_argument("image", metavar="IMAGE")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--region", type=int, metavar="N", help="the N-th proposal, from 0")
    which.add_argument("--box", metavar="X1,Y1,X2,Y2", help="a box in pixels, treated as a proposal")
    which.add_argument("--class", dest="class_name", metavar="NAME", help="the best region of this class")
    parser.add_argument("--min-score", type=float, metavar="X", help="as in detkit detect")
    parser.set_defaults(places="--out")
    parser.add_argument("--out", default="explained", metavar="FOLDER", help="default: explained/")
    parser.add_argument("--project", metavar="FOLDER", help="folder with the model's own components, if it has any")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    return parser


def run(args: argparse.Namespace) -> int:
    """Explains, prints and writes.

    Raises:
        ConfigError: if an option's value cannot be used.
        DataError: if the image cannot be read, or has no proposals.
    """
    import detkit
    from detkit.cli.options import import_project
    from detkit.data.images import read_image
    from detkit.detection.explain import explain
    from detkit.diagnosis.plain import plain
    from detkit.report.explain_sheet import explanation_sheet
    from detkit.report.explain_text import explanation_lines, explanation_plain
    from detkit.system.files import write_json

    if args.class_name == "":
        raise ConfigError("--class: expected the name of a class of the model, got none")
    box = None if args.box is None else _box(args.box)
    if args.min_score is not None and not math.isfinite(args.min_score):
        raise ConfigError(f"--min-score {args.min_score}: expected a finite number, such as 0.5")
    image = read_image(args.image)
    import_project(args.project)
    detector = detkit.load(args.model, device=args.device)
    found = explain(
        detector,
        image,
        region=args.region,
        box=box,
        class_name=args.class_name or "",
        min_score=args.min_score,
        image_id=Path(args.image).stem,
    )
    view = detector.network.extractor.view(image, found.box)
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "explain.json", {"image": args.image, **plain(explanation_plain(found, detector, view))})
    explanation_sheet(out / "explain.png", found, detector)
    print("\n".join(explanation_lines(found, detector, view)))
    print(f"picture and figures: {out / 'explain.png'}, {out / 'explain.json'}")
    return 0


def _box(text: str) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 4 or not all(math.isfinite(v) for v in numbers):
        raise ConfigError(f"--box {text}: expected four numbers x1,y1,x2,y2 in pixels, such as 48,240,195,371")
    return numbers
