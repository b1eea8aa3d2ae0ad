"""The inputs and outputs of ``detkit detect``: which objects, of which images and videos, and what is written."""

from __future__ import annotations

import argparse
import glob
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detkit.errors import ConfigError

if TYPE_CHECKING:
    from detkit.data.image_files import ImageFiles
    from detkit.data.video import Video
    from detkit.detection.choice import MinScore
    from detkit.detection.detector import Detector, How
    from detkit.report.detect_images import Outputs
    from detkit.system.clock import Clock


@dataclass(frozen=True)
class Asked:
    """The choice of objects that are shown.

    Args:
        min_score: as in ``Detector.detect``.
        how: as in ``Detector.detect``.
    """

    min_score: MinScore
    how: How

    @classmethod
    def of(cls, args: argparse.Namespace) -> Asked:
        """The choice that the options make.

        Raises:
            ConfigError: if a value cannot be used.
        """
        if args.max is not None and args.max < 1:
            raise ConfigError(f"--max {args.max}: expected 1 or more objects")
        classes = None if args.classes is None else tuple(name.strip() for name in args.classes.split(","))
        how: How = {"classes": classes, "most": args.max, "one_class_per_region": args.one_class_per_region}
        return cls(_min_score(args.min_score), how)


def _min_score(words: Sequence[str]) -> MinScore:
    """One score for all classes, or scores by class name; None without the option."""
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
class Inputs:
    """The images and videos to detect in, and the outputs.

    Args:
        images: the image files, and a count of other files beside them.
        videos: names and videos.
        output: the folder of all outputs except ``proposals``.
        pictures: whether pictures and videos with boxes are written.
        crops: folder for crops of the objects; None writes none.
        proposals: folder for the proposals of each image; None writes none.
        upright: whether images are turned as EXIF says.
    """

    images: ImageFiles
    videos: list[tuple[str, Video]]
    output: Path
    pictures: bool
    crops: Path | None
    proposals: Path | None
    upright: bool

    @classmethod
    def of(cls, args: argparse.Namespace, output: Path) -> Inputs:
        """The inputs and outputs that the arguments name.

        Raises:
            ConfigError: if an option's value cannot be used, or an output would replace an image.
            DataError: if there is no image.
        """
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
        inputs = cls(images, videos, output, not args.no_pictures, crops, proposals, args.upright)
        read = {path.resolve() for path in (*(p for _, p in images.named), *(v.path for _, v in videos))}
        for path in (output / "detections.json", *inputs.written()):
            if path.resolve() in read:
                raise ConfigError(
                    f"--output {path.parent}: {path.name} there is one of the images; choose another folder"
                )
        return inputs

    def written(self) -> list[Path]:
        """The files that will be written. The number of crops is not known yet: crops are those of an earlier run."""
        files = self._outputs().files(self.images.named)
        endings = (".jsonl", ".mp4") if self.pictures else (".jsonl",)
        files += [self.output / f"{name}{ending}" for name, _ in self.videos for ending in endings]
        if self.crops:
            names = [name for name, _ in (*self.images.named, *self.videos)]
            files += [crop for name in names for crop in self.crops.glob(f"{glob.escape(name)}_[0-9]*.png")]
        return files

    def detected(self, detector: Detector, asked: Asked, workers: int) -> tuple[list[dict[str, Any]], list[Clock]]:
        """The entries of the JSON, and the time of each image and frame."""
        from detkit.report.detect_images import detected
        from detkit.report.detect_video import VideoOutputs, detected_in_video

        how: dict[str, Any] = {"min_score": asked.min_score, "how": asked.how, "workers": workers}
        entries, clocks = detected(detector, self.images.named, self._outputs(), upright=self.upright, **how)
        for name, video in self.videos:
            picture = self.output / f"{name}.mp4" if self.pictures else None
            outputs = VideoOutputs(self.output / f"{name}.jsonl", picture, self.crops)
            entry, frames = detected_in_video(detector, video, outputs, **how)
            entries.append(entry)
            clocks += frames
        return entries, clocks

    def _outputs(self) -> Outputs:
        from detkit.report.detect_images import Outputs

        return Outputs(self.output if self.pictures else None, self.crops, self.proposals)
