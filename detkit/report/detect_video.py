"""The outputs of ``detkit detect`` for a video: a line of JSON a frame, the video with boxes, crops of objects."""

from __future__ import annotations

import json
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from detkit.data.video import Video
from detkit.detection.choice import MinScore
from detkit.detection.detector import Detector, How
from detkit.report.detect_images import write_crops
from detkit.report.detect_stream import seen
from detkit.system.clock import Clock
from detkit.system.files import replacing
from detkit.visualize import Labels
from detkit.visualize.video import VideoFile, writing_video


@dataclass(frozen=True)
class VideoOutputs:
    """The outputs for a video.

    Args:
        lines: the file of JSON lines.
        video: the video with boxes, .mp4; None writes none.
        crops: folder for crops of the objects; None writes none.
    """

    lines: Path
    video: Path | None = None
    crops: Path | None = None


@dataclass(frozen=True, eq=False)
class _Frames:
    """The frames of a video as images; stored proposals lie under <video>_<frame>."""

    video: Video
    thing = "frame"

    def __len__(self) -> int:
        return len(self.video)

    def __getitem__(self, i: int) -> tuple[str, np.ndarray]:
        return f"{self.video.path.stem}_{i * self.video.every:06d}", self.video[i]


def detected_in_video(
    detector: Detector,
    video: Video,
    outputs: VideoOutputs,
    *,
    min_score: MinScore = None,
    how: How | None = None,
    workers: int,
) -> tuple[dict[str, Any], list[Clock]]:
    """The JSON entry of a video, and the time of the steps of each frame.

    A line of JSON holds the number of a frame, its time in seconds, and its detections or its error. The video with
    boxes shows the frames that were used. It is as long as the original, without its sound.

    Args:
        detector: the detector.
        video: the video.
        outputs: the outputs to write.
        min_score: as in ``Detector.detect``.
        how: as in ``Detector.detect``.
        workers: number of processes that decode and find proposals; each decodes the whole video.

    Raises:
        DataError: if no video can be written here.
    """
    labels = Labels.of(detector.class_names)
    clocks: list[Clock] = []
    objects, errors = 0, []
    with ExitStack() as stack:
        lines = stack.enter_context(stack.enter_context(replacing(outputs.lines)).open("w", encoding="utf-8"))
        frames = stack.enter_context(
            closing(seen(detector, _Frames(video), min_score=min_score, workers=workers, how=how))
        )
        out: VideoFile | None = None
        for one in frames:
            clocks.append(one.clock)
            number = one.place * video.every
            if one.found is None:
                errors.append(one.error)
                lines.write(json.dumps({"frame": number, "error": one.error}) + "\n")
                continue
            objects += len(one.found)
            second = round(number / video.rate, 3)
            lines.write(json.dumps({"frame": number, "second": second, **one.found.plain()}, ensure_ascii=False) + "\n")
            if outputs.video:
                if out is None:
                    size, rate = one.found.image.shape[:2], video.rate / video.every
                    out = stack.enter_context(writing_video(outputs.video, (size[0], size[1]), rate))
                with one.clock("draw"):
                    out.add(np.asarray(one.found.draw(labels)))
            if outputs.crops:
                write_crops(outputs.crops, f"{outputs.lines.stem}_{number:06d}", one.found)
    told = {"frames": len(clocks), "every": video.every, "rate": video.rate, "objects": objects}
    entry: dict[str, Any] = {"video": str(video.path), **told, "lines": outputs.lines.name}
    return {**entry, **({"error": errors[0]} if errors else {})}, clocks
