"""``detkit detect``: a trained model on images and folders."""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detkit.errors import ConfigError, DataError, counted
from detkit.system.clock import Clock

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from detkit.detection.detector import Detector
    from detkit.proposals.base import ProposalGenerator
    from detkit.structures import Detections, Proposals
    from detkit.visualize import Labels

PICTURES_BEHIND = 2
"""Pictures that may wait to be drawn before the network waits for them."""


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declares the command."""
    parser = commands.add_parser(
        "detect",
        help="find objects in images or folders with a trained model",
        description="Writes a picture with boxes for each image, and detections.json: image, score kind, and for each "
        "object box (x1 y1 x2 y2 in pixels, x2 and y2 exclusive), class, score, and the probability that it is right "
        "where the model knows one. An image that cannot be read has its error there, and the exit code is 2.",
    )
    parser.add_argument(
        "--model", required=True, metavar="MODEL", help="a model folder, RUN/model, or an installed model"
    )
    parser.add_argument("images", nargs="+", metavar="IMAGE|FOLDER|PATTERN")
    parser.set_defaults(places="--output")
    parser.add_argument("--output", default="detections", metavar="FOLDER", help="default: detections/")
    parser.add_argument(
        "--min-score",
        type=float,
        metavar="X",
        help="the least score of every class; default: the threshold that the model has learnt for each, "
        "margin 0 or probability 0.5 where it has learnt none",
    )
    parser.add_argument(
        "--one-class-per-region",
        action="store_true",
        help="a region is found for its best class only; by default each class keeps its own, as in evaluation",
    )
    parser.add_argument("--project", metavar="FOLDER", help="of a model with components of its own: where they are")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--no-pictures", action="store_true", help="write the JSON alone")
    parser.add_argument(
        "--workers",
        type=int,
        default=-1,
        metavar="N",
        help="processes that decode and find proposals beside the network; -1: one per core but one, 0: none",
    )
    parser.add_argument(
        "--profile",
        action="store_true",
        help="print the time that each stage works, and how long an image takes; write each image's to the JSON. "
        "Stages run beside each other, so together they may take more than the image",
    )
    return parser


def run(args: argparse.Namespace) -> int:
    """Detects, draws and writes.

    Raises:
        ConfigError: an option's value cannot be used.
        DataError: there is no image, or, when all others are done, an image that cannot be read.
    """
    import detkit
    from detkit.components import load_components
    from detkit.config.project import import_named
    from detkit.data.image_files import image_files
    from detkit.system.files import write_json
    from detkit.system.processes import excess_of_workers, resolve_workers

    output = Path(args.output)
    images = image_files(args.images, output)
    files = images.named
    _check(args, output)
    if args.project:
        load_components()  # first: a package that is installed, too, is not imported again
        import_named(args.project, "--project")
    detector = detkit.load(args.model, device=args.device)
    if detector.calibration.source == "none" and args.min_score is None:
        least = float(detector.calibration.thresholds[0])
        print(f"this model has learnt no thresholds: shown is what scores at least {least:g} ({detector.score_kind})")
    output.mkdir(parents=True, exist_ok=True)
    answer = output / "detections.json"
    written = [answer, *(output / f"{name}.png" for name, _ in files)]
    _refuse_inputs(written, files)
    for path in written:
        path.unlink(missing_ok=True)  # nothing of an earlier run may stand beside what this one finds
    start = time.perf_counter()
    workers = resolve_workers(args.workers)
    if text := excess_of_workers(workers):
        print(f"--workers: {text}", file=sys.stderr)
    pictures = None if args.no_pictures else output
    asked = {"min_score": args.min_score, "one_class_per_region": args.one_class_per_region}
    found, clocks = detected(detector, files, pictures, workers=workers, **asked)
    wall = time.perf_counter() - start
    if args.profile:
        for entry, clock in zip(found, clocks, strict=True):
            entry["seconds"] = {stage: round(seconds, 5) for stage, seconds in clock.seconds.items()}
    write_json(answer, found)
    if args.profile:
        print(_profile(clocks, wall))
    objects = sum(len(entry.get("detections", ())) for entry in found)
    errors = [entry["error"] for entry in found if "error" in entry]
    if images.left_out:
        print(images.text_of_left_out(), file=sys.stderr)
    print(f"{counted(objects, 'object')} in {counted(len(found) - len(errors), 'image')}: {answer}")
    if errors:
        others = counted(len(errors) - 1, "more image")
        more = f"; {others} cannot be used, {answer} says why" if len(errors) > 1 else ""
        raise DataError(errors[0] + more)
    return 0


def _refuse_inputs(written: Sequence[Path], files: Sequence[tuple[str, Path]]) -> None:
    """Refuses to write over an image that is to be read."""
    inputs = {path.resolve() for _, path in files}
    for path in written:
        if path.resolve() in inputs:
            raise ConfigError(f"--output {path.parent}: {path.name} there is one of the images; choose another folder")


def _check(args: argparse.Namespace, output: Path) -> None:
    from detkit.system.compute import Compute

    if args.min_score is not None and not math.isfinite(args.min_score):
        raise ConfigError(f"--min-score {args.min_score}: expected a finite number, such as 0.5")
    if args.workers < -1:
        raise ConfigError(f"--workers {args.workers}: expected 0 or more processes, or -1 for one per core but one")
    there = next(path for path in (output, *output.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise ConfigError(f"--output {output}: {there} is no folder that can be written to; name another")
    try:
        Compute.resolve(device=args.device)
    except ConfigError as error:
        raise ConfigError(str(error).replace("RUNTIME.DEVICE", "--device")) from error


def detected(
    detector: Detector,
    files: list[tuple[str, Path]],
    pictures: Path | None,
    *,
    min_score: float | None = None,
    one_class_per_region: bool = False,
    workers: int,
) -> tuple[list[dict[str, Any]], list[Clock]]:
    """What the JSON says of each image, and the time of its stages.

    Processes read the next images and a thread draws the last ones while the network works.

    Args:
        detector: what detects.
        files: for each image the name of its picture, without the ending, and its file.
        pictures: the folder of the pictures; None for none.
        min_score: as ``Detector.detect`` takes it.
        one_class_per_region: the same.
        workers: processes; 0 reads each image when it is its turn.
    """
    from detkit.progress import progress
    from detkit.system.stream import in_processes
    from detkit.visualize import Labels

    labels = Labels.of(detector.class_names)
    read = in_processes(_Reader(detector.generator, files), 0, len(files), workers if len(files) > 1 else 0)
    found: list[dict[str, Any]] = []
    clocks: list[Clock] = []
    waiting: deque[Future[None]] = deque()
    with closing(progress("detect", len(files), "image")) as bar, closing(read), ThreadPoolExecutor(1) as artist:
        for (name, path), item in zip(files, read, strict=True):
            clocks.append(clock := Clock())
            if isinstance(item, str):
                found.append({"image": str(path), "error": item})
            else:
                clock.seconds |= item.seconds
                objects = detector.detect(
                    item.image,
                    min_score,
                    one_class_per_region=one_class_per_region,
                    proposals=item.proposals,
                    clock=clock,
                )
                probabilities = detector.probabilities(objects)
                found.append({"image": str(path), **_plain(objects, probabilities, detector)})
                if probabilities is not None:
                    objects = replace(objects, scores=probabilities)
                if pictures is not None:
                    waiting.append(artist.submit(_draw, pictures / f"{name}.png", item.image, objects, labels, clock))
            while len(waiting) > PICTURES_BEHIND:
                waiting.popleft().result()
            bar.update()
        for drawn in waiting:
            drawn.result()
    return found, clocks


@dataclass(frozen=True, eq=False)
class _Item:
    """An image, its proposals, and the seconds that both took."""

    image: np.ndarray
    proposals: Proposals
    seconds: dict[str, float]


@dataclass(frozen=True)
class _Reader:
    """Reads an image and finds its proposals; of an image that cannot be used it gives the message."""

    generator: ProposalGenerator
    files: list[tuple[str, Path]]

    def __call__(self, i: int) -> _Item | str:
        from detkit.data.images import read_image
        from detkit.proposals.base import checked_proposals

        clock = Clock()
        try:
            with clock("decode"):
                image = read_image(self.files[i][1])
            with clock("proposals"):
                name = self.files[i][1].stem
                proposals = checked_proposals(self.generator, self.generator.propose(image, name), image, name)
        except DataError as error:
            return str(error)
        return _Item(image, proposals, clock.seconds)


def _draw(picture: Path, image: np.ndarray, objects: Detections, labels: Labels, clock: Clock) -> None:
    from detkit.visualize import draw_detections, write_image

    with clock("draw"):
        write_image(picture, draw_detections(image, objects, labels))


def _plain(objects: Detections, probabilities: Tensor | None, detector: Detector) -> dict[str, Any]:
    names = detector.class_names
    plain: list[dict[str, Any]] = [
        {"box": [round(v, 2) for v in box.tolist()], "class": names[label], "score": round(score, 5)}
        for box, label, score in zip(objects.boxes, objects.labels.tolist(), objects.scores.tolist(), strict=True)
    ]
    if probabilities is not None:
        for one, probability in zip(plain, probabilities.tolist(), strict=True):
            one["probability"] = round(probability, 5)
    return {"score_kind": detector.score_kind, "detections": plain}


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
