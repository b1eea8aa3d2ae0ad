"""``detkit detect``: a trained model on images and folders."""

from __future__ import annotations

import argparse
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detkit.clock import Clock

if TYPE_CHECKING:
    from detkit.detector import Detector
    from detkit.structures import Proposals


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declares the command."""
    parser = commands.add_parser(
        "detect",
        help="find objects in images or folders with a trained model",
        description="Writes a picture with boxes for each image, and detections.json: image, boxes (x1 y1 x2 y2 in "
        "pixels, x2 and y2 exclusive), class, score, score kind.",
    )
    parser.add_argument("--model", required=True, metavar="FOLDER", help="a model folder, RUN/model")
    parser.add_argument("images", nargs="+", metavar="IMAGE|FOLDER")
    parser.add_argument("--output", default="detections", metavar="FOLDER", help="default: detections/")
    parser.add_argument("--min-score", type=float, metavar="X", help="default: margin 0 or probability 0.5")
    parser.add_argument("--project", metavar="FOLDER", help="of a model with components of its own: where they are")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--no-pictures", action="store_true", help="write the JSON alone")
    parser.add_argument(
        "--workers",
        type=int,
        default=-1,
        metavar="N",
        help="processes that find proposals beside the network; -1: one per core but one, 0: none",
    )
    parser.add_argument(
        "--profile",
        action="store_true",
        help="print the time of each stage, and write each image's to the JSON; of what workers do beside the network "
        "only the time waited for it counts, so --workers 0 shows what each stage costs",
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Detects, draws and writes."""
    import detkit
    from detkit.config.project import import_project
    from detkit.progress import progress

    files = _files([Path(name) for name in args.images])
    if args.project:
        import_project(Path(args.project).resolve(), "--project")
    detector = detkit.load(args.model, device=args.device)
    output = Path(args.output)
    output.mkdir(parents=True, exist_ok=True)
    bar = progress("detect", len(files), "image")
    found, clocks = [], []
    ahead = _proposals_ahead(detector, files, args.workers)
    for name, path in files:
        clock = Clock()
        picture = None if args.no_pictures else output / f"{name}.png"
        found.append(_one(detector, path, args.min_score, picture, ahead, clock))
        if args.profile:
            found[-1]["seconds"] = {stage: round(seconds, 5) for stage, seconds in clock.seconds.items()}
        clocks.append(clock)
        bar.update()
    bar.close()
    answer = output / "detections.json"
    answer.write_text(json.dumps(found, indent=1, ensure_ascii=False), encoding="utf-8")
    if args.profile:
        print(_profile(clocks))
    print(f"{sum(len(f['detections']) for f in found)} objects in {len(found)} images: {answer}")
    return 0


def _proposals_ahead(
    detector: Detector, files: list[tuple[str, Path]], workers: int
) -> Iterator[tuple[int, Proposals]] | None:
    """The proposals of every image, in order, found in processes of their own; None where there are none."""
    from detkit.proposals.pool import propose_many

    count = max(1, (os.cpu_count() or 1) - 1) if workers < 0 else workers
    if count == 0 or len(files) == 1:
        return None
    return propose_many(detector.generator, [("", path) for _, path in files], count)


def _one(
    detector: Detector,
    path: Path,
    min_score: float | None,
    picture: Path | None,
    ahead: Iterator[tuple[int, Proposals]] | None,
    clock: Clock,
) -> dict[str, Any]:
    from detkit.data.images import read_image
    from detkit.visualize import draw_detections, write_image

    with clock("decode"):
        image = read_image(path)
    with clock("proposals"):
        proposals = None if ahead is None else next(ahead)[1]
    found = detector.detect(image, min_score, proposals=proposals, clock=clock)
    if picture is not None:
        with clock("draw"):
            picture.parent.mkdir(parents=True, exist_ok=True)
            write_image(picture, draw_detections(image, found, detector.class_names))
    return {
        "image": str(path),
        "score_kind": detector.score_kind,
        "detections": [
            {"box": [round(v, 2) for v in box.tolist()], "class": detector.class_names[label], "score": round(score, 5)}
            for box, label, score in zip(found.boxes, found.labels.tolist(), found.scores.tolist(), strict=True)
        ],
    }


def _profile(clocks: Sequence[Clock]) -> str:
    """A line a stage: seconds of an image, of all images, and the share."""
    totals: dict[str, float] = {}
    for clock in clocks:
        for stage, seconds in clock.seconds.items():
            totals[stage] = totals.get(stage, 0.0) + seconds
    whole = sum(totals.values())
    lines = [f"{'stage':10} {'s/image':>9} {'s':>9} {'share':>6}"]
    for stage, seconds in [*totals.items(), ("all", whole)]:
        lines.append(f"{stage:10} {seconds / len(clocks):9.4f} {seconds:9.2f} {100 * seconds / whole:5.1f}%")
    return "\n".join(lines)


def _files(paths: list[Path]) -> list[tuple[str, Path]]:
    """(name of the picture without its ending, image file) of every image; no two names are equal."""
    from detkit.data.images import IMAGE_SUFFIXES
    from detkit.errors import DataError

    files: list[tuple[str, Path]] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
            if not inside:
                raise DataError(f"{path}: no image in this folder; expected {', '.join(IMAGE_SUFFIXES)}")
            files += [(p.relative_to(path).as_posix().replace("/", "_"), p) for p in inside]
        elif path.is_file():
            files.append((path.name, path))
        else:
            raise DataError(f"{path}: no such image or folder")
    return _numbered(files)


def _numbered(files: list[tuple[str, Path]]) -> list[tuple[str, Path]]:
    """A name that was there before gets the first number from 2 that makes it another."""
    taken: set[str] = set()
    result = []
    for name, path in files:
        numbers = itertools.count(2)
        free = name
        while free in taken:
            free = f"{name}_{next(numbers)}"
        taken.add(free)
        result.append((free, path))
    return result
