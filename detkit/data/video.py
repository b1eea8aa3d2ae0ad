"""Frames of video files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from detkit.errors import DataError

VIDEO_SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv")

UNKNOWN_RATE = 25.0
"""Frames a second of a file that does not say."""


class Video:
    """Every n-th frame of a video file, turned upright if the file gives its rotation.

    A copy in another process opens the file again. Read frames in rising order: going back starts from the first frame.

    Args:
        path: the file.
        every: 1 takes all frames, 2 every second one, starting with the first.

    Attributes:
        rate: frames per second of the file.

    Raises:
        DataError: if the file is missing, or its frames cannot be decoded.
    """

    def __init__(self, path: Path, every: int = 1) -> None:
        self.path, self.every = path, every
        self._capture: cv2.VideoCapture | None = None
        self._at = 0
        rate = self._opened().get(cv2.CAP_PROP_FPS)
        self.rate = rate if 0 < rate < 1000 else UNKNOWN_RATE
        self._count = self._counted()
        if not self._count:
            raise DataError(f"{path}: no frame of the video can be decoded; convert it to MP4 (H.264) first")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_capture": None, "_at": 0}

    def __len__(self) -> int:
        """The number of frames that are taken."""
        return -(-self._count // self.every)

    def __getitem__(self, i: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB, the i-th frame that is taken.

        Raises:
            DataError: if the frame cannot be decoded.
        """
        if not 0 <= i < len(self):
            raise IndexError(i)
        if self._at > i * self.every:
            self.close()
        capture = self._opened()
        while self._at < i * self.every:
            capture.grab()
            self._at += 1
        is_there, frame = capture.read()
        self._at += 1
        if not is_there:
            raise DataError(f"{self.path}: frame {i * self.every} cannot be decoded")
        return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)

    def close(self) -> None:
        """Closes the file. Reading another frame opens it again."""
        if self._capture is not None:
            self._capture.release()
        self._capture, self._at = None, 0

    def _opened(self) -> cv2.VideoCapture:
        if self._capture is None:
            if not self.path.is_file():
                raise DataError(f"{self.path}: no such video")
            self._capture = cv2.VideoCapture(str(self.path))
            if not self._capture.isOpened():
                raise DataError(
                    f"{self.path}: not a video that OpenCV can open; expected one of {', '.join(VIDEO_SUFFIXES)}"
                )
        return self._capture

    def _counted(self) -> int:
        """Frames that can be decoded; what the file says of their number may be wrong."""
        count, capture = 0, self._opened()
        while capture.grab():
            count += 1
        self.close()
        return count
