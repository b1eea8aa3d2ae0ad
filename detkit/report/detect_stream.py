"""Detection in a stream of images, which other processes read ahead."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from detkit.detection.choice import MinScore
from detkit.detection.detector import Detector, How
from detkit.detection.found import Found
from detkit.errors import DataError
from detkit.progress import progress
from detkit.proposals.base import ProposalGenerator, checked_proposals
from detkit.structures import Proposals
from detkit.system.clock import Clock
from detkit.system.stream import in_processes

PICTURES_BEHIND = 2
"""Pictures that may wait to be drawn before the network waits for them."""


class Source(Protocol):
    """Images that are read one by one, also in other processes."""

    thing: str
    """What one of them is called beside the progress."""

    def __len__(self) -> int: ...

    def __getitem__(self, i: int) -> tuple[str, np.ndarray]:
        """The id of the image in stored proposals, and its (H, W, 3) uint8 RGB pixels.

        Raises:
            DataError: if the image cannot be read.
        """


@dataclass(frozen=True, eq=False)
class Seen:
    """The result for one image of a source.

    Args:
        place: number of the image.
        proposals: its regions; None if the image cannot be used.
        found: its detections; None if the image cannot be used.
        error: why it cannot be used; empty if it can.
        clock: the seconds of its steps.
    """

    place: int
    proposals: Proposals | None
    found: Found | None
    error: str
    clock: Clock


def seen(
    detector: Detector, source: Source, *, min_score: MinScore = None, workers: int = 0, how: How | None = None
) -> Generator[Seen, None, None]:
    """Results for each image of a source, in order; processes read the next images while the network works.

    Close the generator if your code may raise between two images (``contextlib.closing``).

    Args:
        detector: the detector.
        source: the images.
        min_score: as in ``Detector.detect``.
        workers: number of processes that read ahead; 0 reads each image when its turn comes.
        how: other options of ``Detector.detect``.
    """
    read = in_processes(_Reader(detector.generator, source), 0, len(source), workers if len(source) > 1 else 0)
    with closing(progress("detect", len(source), source.thing)) as bar, closing(read):
        for place, item in enumerate(read):
            clock = Clock()
            if isinstance(item, str):
                yield Seen(place, None, None, item, clock)
            else:
                clock.seconds |= item.seconds
                asked: How = {**(how or {}), "proposals": item.proposals, "clock": clock}
                yield Seen(place, item.proposals, detector.detect(item.image, min_score, **asked), "", clock)
            bar.update()


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
    source: Source

    def __call__(self, i: int) -> _Item | str:
        clock = Clock()
        try:
            with clock("decode"):
                name, image = self.source[i]
            with clock("proposals"):
                proposals = checked_proposals(self.generator, self.generator.propose(image, name), image, name)
        except DataError as error:
            return str(error)
        return _Item(image, proposals, clock.seconds)
