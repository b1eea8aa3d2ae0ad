"""``detkit detect``: a trained model on images and folders."""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detkit.detector import Detector


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
    found = []
    for name, path in files:
        found.append(_one(detector, path, args.min_score, None if args.no_pictures else output / f"{name}.png"))
        bar.update()
    bar.close()
    answer = output / "detections.json"
    answer.write_text(json.dumps(found, indent=1, ensure_ascii=False), encoding="utf-8")
    print(f"{sum(len(f['detections']) for f in found)} objects in {len(found)} images: {answer}")
    return 0


def _one(detector: Detector, path: Path, min_score: float | None, picture: Path | None) -> dict[str, Any]:
    from detkit.data.images import read_image
    from detkit.visualize import draw_detections, write_image

    image = read_image(path)
    found = detector.detect(image, min_score)
    if picture is not None:
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
