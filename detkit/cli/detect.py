"""``detkit detect``: a trained model on images, folders and videos."""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detkit.errors import ConfigError, DataError, counted

if TYPE_CHECKING:
    from detkit.data.image_files import ImageFiles
    from detkit.data.video import Video
    from detkit.detection.choice import MinScore
    from detkit.detection.detector import Detector, How
    from detkit.system.clock import Clock


def add_parser(commands: argparse._SubParsersAction) -> argparse.ArgumentParser:
    """Declares the command."""
    parser = commands.add_parser(
        "detect",
        help="find objects in images, folders or videos with a trained model",
        description="Writes a picture with boxes for each image, and detections.json: image, score kind, and for each "
        "object box (x1 y1 x2 y2 in pixels, x2 and y2 exclusive), class, score, and the probability that it is right "
        "where the model knows one. Of a video it writes an .mp4 with boxes, and a .jsonl with a line a frame. An "
        "image that cannot be read has its error there, and the exit code is 2.",
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
        help="the least score of every class, or, as often as wanted, of one; default: the threshold that the model "
        "has learnt for each, margin 0 or probability 0.5 where it has learnt none",
    )
    parser.add_argument("--classes", metavar="NAME,NAME", help="find these classes only")
    parser.add_argument("--max", type=int, metavar="N", help="show at most N objects of an image or frame, the best")
    parser.add_argument(
        "--one-class-per-region",
        action="store_true",
        help="a region is found for its best class only; by default each class keeps its own, as in evaluation",
    )
    parser.add_argument("--every", type=int, default=1, metavar="N", help="of a video look at every N-th frame only")
    parser.add_argument("--project", metavar="FOLDER", help="of a model with components of its own: where they are")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--no-pictures", action="store_true", help="write no pictures and videos with boxes")
    parser.add_argument("--crops", action="store_true", help="also write each object, cut out, to crops/ of --output")
    parser.add_argument(
        "--save-proposals",
        metavar="FOLDER",
        help="also write the regions of each image as .npz, for PROPOSALS.NAME=Precomputed or an exported model",
    )
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
    from detkit.cli.options import import_project
    from detkit.detection.choice import least_scores
    from detkit.system.files import write_json
    from detkit.system.processes import excess_of_workers, resolve_workers

    output = Path(args.output)
    asked = Asked.of(args)
    inputs = _Inputs.of(args, output)
    _check(args, output)
    import_project(args.project)
    detector = detkit.load(args.model, device=args.device)
    own = detector.calibration.thresholds
    least_scores(own, detector.class_names, asked.min_score, asked.how["classes"])  # refuses what is no class
    if detector.calibration.source == "none" and not args.min_score:
        print(f"this model has learnt no thresholds: shown is what scores at least {own[0]:g} ({detector.score_kind})")
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
    _tell(found, inputs.images, answer)
    return 0


@dataclass(frozen=True)
class Asked:
    """What of the objects is shown.

    Args:
        min_score: as ``Detector.detect`` takes it.
        how: the same.
    """

    min_score: MinScore
    how: How

    @classmethod
    def of(cls, args: argparse.Namespace) -> Asked:
        """What the options say.

        Raises:
            ConfigError: a value cannot be used.
        """
        if args.max is not None and args.max < 1:
            raise ConfigError(f"--max {args.max}: expected 1 or more objects")
        classes = None if args.classes is None else tuple(name.strip() for name in args.classes.split(","))
        how: How = {"classes": classes, "most": args.max, "one_class_per_region": args.one_class_per_region}
        return cls(_min_score(args.min_score), how)


def _min_score(words: Sequence[str]) -> MinScore:
    """One score for all classes, or some by class name; None where nothing is asked for."""
    scores: dict[str, float] = {}
    for word in words:
        name, _, text = word.rpartition("=")
        try:
            scores[name] = float(text)
        except ValueError:
            scores[name] = math.nan
        if not math.isfinite(scores[name]):
            raise ConfigError(f"--min-score {word}: expected a finite number, such as 0.5, or CLASS=0.5")
    if "" in scores and len(scores) > 1:
        raise ConfigError(f"--min-score: {scores['']:g} is of every class; give it alone, or CLASS=X of some classes")
    return scores.get("", scores or None)


@dataclass(frozen=True)
class _Inputs:
    """What is looked at, and what is written of it."""

    images: ImageFiles
    videos: list[tuple[str, Video]]
    output: Path
    pictures: bool
    crops: Path | None
    proposals: Path | None

    @classmethod
    def of(cls, args: argparse.Namespace, output: Path) -> _Inputs:
        from detkit.data.image_files import ImageFiles, image_files, numbered
        from detkit.data.video import VIDEO_SUFFIXES, Video

        if args.every < 1:
            raise ConfigError(f"--every {args.every}: expected 1 for every frame, or more")
        is_video = [Path(word).suffix.lower() in VIDEO_SUFFIXES and Path(word).is_file() for word in args.images]
        words = [word for word, video in zip(args.images, is_video) if not video]
        images = image_files(words, output) if words else ImageFiles([], Counter())
        named = numbered([(Path(word).name, Path(word)) for word, video in zip(args.images, is_video) if video])
        videos = [(name, Video(path, args.every)) for name, path in named]
        if videos and args.save_proposals:
            raise ConfigError("--save-proposals: is for images; write the frames as images first")
        crops = output / "crops" if args.crops else None
        proposals = Path(args.save_proposals) if args.save_proposals else None
        inputs = cls(images, videos, output, not args.no_pictures, crops, proposals)
        read = {path.resolve() for path in (*(p for _, p in images.named), *(v.path for _, v in videos))}
        for path in (output / "detections.json", *inputs.written()):
            if path.resolve() in read:
                raise ConfigError(
                    f"--output {path.parent}: {path.name} there is one of the images; choose another folder"
                )
        return inputs

    def written(self) -> list[Path]:
        """Files that are written, crops left out."""
        files = self._outputs().files(self.images.named)
        endings = (".jsonl", ".mp4") if self.pictures else (".jsonl",)
        return files + [self.output / f"{name}{ending}" for name, _ in self.videos for ending in endings]

    def detected(self, detector: Detector, asked: Asked, workers: int) -> tuple[list[dict[str, Any]], list[Clock]]:
        """What the JSON says, and the time of each image and frame."""
        from detkit.report.detect_images import detected
        from detkit.report.detect_video import VideoOutputs, detected_in_video

        how: dict[str, Any] = {"min_score": asked.min_score, "how": asked.how, "workers": workers}
        entries, clocks = detected(detector, self.images.named, self._outputs(), **how)
        for name, video in self.videos:
            picture = self.output / f"{name}.mp4" if self.pictures else None
            outputs = VideoOutputs(self.output / f"{name}.jsonl", picture, self.crops)
            entry, frames = detected_in_video(detector, video, outputs, **how)
            entries.append(entry)
            clocks += frames
        return entries, clocks

    def _outputs(self) -> Any:
        from detkit.report.detect_images import Outputs

        return Outputs(self.output if self.pictures else None, self.crops, self.proposals)


def _tell(found: Sequence[dict[str, Any]], images: ImageFiles, answer: Path) -> None:
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
    if images.left_out:
        print(images.text_of_left_out(), file=sys.stderr)
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
