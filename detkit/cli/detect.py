"""``detkit detect``: a trained model on images, folders and videos."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detkit.cli.detect_inputs import Asked, Inputs
from detkit.errors import ConfigError, DataError, counted

if TYPE_CHECKING:
    from detkit.system.clock import Clock


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Adds the command to the parser."""
    parser = commands.add_parser(
        "detect",
        help="find objects in images, folders or videos with a trained model",
        description="Writes a picture with boxes for each image, and detections.json. The JSON holds the kind of score "
        "of each image, and for each object the box (x1 y1 x2 y2 in pixels, x2 and y2 exclusive), class, score, and "
        "the probability that it is right, if the model has learnt one. For a video it writes an .mp4 with boxes, and "
        "a .jsonl with a line a frame. If an image cannot be read, the JSON holds its error, and the exit code is 2.",
    )
    parser.add_argument(
        "--model", required=True, metavar="MODEL", help="a model folder, RUN/model, or an installed model"
    )
    parser.add_argument("images", nargs="+", metavar="IMAGE|VIDEO|FOLDER|PATTERN")
    parser.set_defaults(places="--output")
    parser.add_argument("--output", default="detections", metavar="FOLDER", help="default: detections/")
    parser.add_argument(
        "--min-score",
        action="append",
        default=[],
        metavar="X|CLASS=X",
        help="lowest score that is shown, for all classes, or for one class (may be repeated); default: the thresholds "
        "that the model has learnt, else margin 0 or probability 0.5",
    )
    parser.add_argument("--classes", metavar="NAME,NAME", help="find these classes only")
    parser.add_argument("--max", type=int, metavar="N", help="show only the N best objects of an image or frame")
    parser.add_argument(
        "--one-class-per-region",
        action="store_true",
        help="report a region for its best class only; by default it may be reported for several, as in evaluation",
    )
    parser.add_argument(
        "--upright",
        action="store_true",
        help="turn images as EXIF says, and give boxes in the upright image; by default pixels are used as stored, and "
        "a line says how many images EXIF would turn",
    )
    parser.add_argument("--every", type=int, default=1, metavar="N", help="of a video use every N-th frame only")
    parser.add_argument("--project", metavar="FOLDER", help="folder with the model's own components, if it has any")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--no-pictures", action="store_true", help="write no pictures and videos with boxes")
    parser.add_argument("--crops", action="store_true", help="also write a crop of each object to crops/ in --output")
    parser.add_argument(
        "--save-proposals",
        metavar="FOLDER",
        help="also write the proposals of each image as .npz, for PROPOSALS.NAME=Precomputed or an exported model",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=-1,
        metavar="N",
        help="processes that decode images and find proposals; -1: one per core, less one; 0: none",
    )
    parser.add_argument(
        "--profile",
        action="store_true",
        help="print the working time of each step and the time of an image, and write each image's times to the JSON. "
        "Steps run at the same time, so their sum may be larger than the time of the image",
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Detects, draws and writes.

    Raises:
        ConfigError: if an option's value cannot be used.
        DataError: if there is no image; or, after all images, if an image could not be read.
    """
    import detkit
    from detkit.cli.options import import_project
    from detkit.detection.choice import least_scores
    from detkit.system.files import write_json
    from detkit.system.processes import excess_of_workers, resolve_workers

    output = Path(args.output)
    asked = Asked.of(args)
    inputs = Inputs.of(args, output)
    _check(args, output)
    import_project(args.project)
    detector = detkit.load(args.model, device=args.device)
    own = detector.calibration.thresholds
    least_scores(own, detector.class_names, asked.min_score, asked.how["classes"])  # refuses what is no class
    if detector.calibration.source == "none" and not args.min_score:
        print(
            f"this model has learnt no thresholds; it shows objects from a score of {own[0]:g} ({detector.score_kind})"
        )
    output.mkdir(parents=True, exist_ok=True)
    answer = output / "detections.json"
    for path in (answer, *inputs.written()):
        path.unlink(missing_ok=True)  # nothing of an earlier run may stand beside what this one finds
    start = time.perf_counter()
    workers = resolve_workers(args.workers)
    if text := excess_of_workers(workers):
        print(f"--workers: {text}", file=sys.stderr)
    found, clocks = inputs.detected(detector, asked, workers)
    wall = time.perf_counter() - start
    if args.profile:
        for entry, clock in zip(found, clocks):
            entry["seconds"] = {stage: round(seconds, 5) for stage, seconds in clock.seconds.items()}
    write_json(answer, found)
    if args.profile:
        print(_profile(clocks, wall))
    _tell(found, inputs, answer)
    return 0


def _tell(found: Sequence[dict[str, Any]], inputs: Inputs, answer: Path) -> None:
    """Prints what was found, and what was not read.

    Raises:
        DataError: an image could not be read.
    """
    frames = sum(entry["frames"] for entry in found if "video" in entry)
    objects = sum(len(e["detections"]) if "detections" in e else e.get("objects", 0) for e in found)
    errors = [entry["error"] for entry in found if "error" in entry]
    num_images = sum("detections" in entry for entry in found)
    where = [counted(num_images, "image")] if num_images or not frames else []
    where += [counted(frames, "frame")] if frames else []
    if inputs.images.left_out:
        print(inputs.images.text_of_left_out(), file=sys.stderr)
    turned = [entry["image"] for entry in found if "exif" in entry]
    if turned and not inputs.upright:
        print(
            f"EXIF would turn {counted(len(turned), 'photograph')}, the first: {turned[0]}; boxes refer to the pixels "
            "as they are stored. --upright turns them",
            file=sys.stderr,
        )
    print(f"{counted(objects, 'object')} in {' and '.join(where)}: {answer}")
    if errors:
        others = counted(len(errors) - 1, "more image")
        more = f"; {others} cannot be used, {answer} says why" if len(errors) > 1 else ""
        raise DataError(errors[0] + more)


def _check(args: argparse.Namespace, output: Path) -> None:
    from detkit.system.compute import Compute

    if args.workers < -1:
        raise ConfigError(f"--workers {args.workers}: expected 0 or more processes, or -1 for one per core but one")
    there = next(path for path in (output, *output.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise ConfigError(f"--output {output}: {there} is no folder that can be written to; name another")
    try:
        Compute.resolve(device=args.device)
    except ConfigError as error:
        raise ConfigError(str(error).replace("RUNTIME.DEVICE", "--device")) from error


def _profile(clocks: Sequence[Clock], wall: float) -> str:
    """A line a stage: seconds that it worked for an image, for all images, and as a share of the time that passed."""
    totals: dict[str, float] = {}
    for clock in clocks:
        for stage, seconds in clock.seconds.items():
            totals[stage] = totals.get(stage, 0.0) + seconds
    lines = [f"{'stage':10} {'s/image':>9} {'s':>9} {'share':>6}"]
    for stage, seconds in [*totals.items(), ("wall", wall)]:
        lines.append(f"{stage:10} {seconds / len(clocks):9.4f} {seconds:9.2f} {100 * seconds / wall:5.1f}%")
    return "\n".join(lines)
