"""Pictures as a video file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np

from detkit.errors import DataError
from detkit.system.files import replacing

CODEC = "mp4v"
"""MPEG-4 part 2 in an MP4 file, which every build of OpenCV can write."""


class VideoFile:
    """A video file for frames of one size.

    Args:
        writer: OpenCV's writer.
        size: (height, width), both even.
    """

    def __init__(self, writer: cv2.VideoWriter, size: tuple[int, int]) -> None:
        self._writer, self.size = writer, size

    def add(self, image: np.ndarray) -> None:
        """Adds an (H, W, 3) uint8 RGB frame; a last odd row or column is left out."""
        height, width = self.size
        self._writer.write(cv2.cvtColor(np.ascontiguousarray(image[:height, :width]), cv2.COLOR_RGB2BGR))


@contextmanager
def writing_video(path: Path, image_size: tuple[int, int], rate: float) -> Iterator[VideoFile]:
    """Yields a video, which becomes ``path`` when the block ends without an error.

    Args:
        path: the file; it ends in .mp4.
        image_size: (height, width) of the frames, at least 2.
        rate: frames per second.

    Raises:
        DataError: if OpenCV cannot write videos here.
    """
    height, width = (side - side % 2 for side in image_size)
    with replacing(path) as partial:
        target = partial.with_suffix(".partial.mp4")  # OpenCV tells the container by the ending
        writer = cv2.VideoWriter(str(target), cv2.VideoWriter.fourcc(*CODEC), rate, (width, height))
        try:
            if not writer.isOpened():
                raise DataError(
                    f"{path}: OpenCV cannot write videos of {width}x{height} pixels here; use --no-pictures"
                )
            yield VideoFile(writer, (height, width))
            writer.release()
            target.replace(partial)
        finally:
            writer.release()
            target.unlink(missing_ok=True)
