"""One image after the other through a detector, read ahead by other processes."""

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
    """Images that can be read one by one, also in other processes."""

    thing: str
    """What one of them is called beside the progress."""

    def __len__(self) -> int: ...

    def __getitem__(self, i: int) -> tuple[str, np.ndarray]:
        """The id under which stored proposals lie, and the (H, W, 3) uint8 RGB pixels.

        Raises:
            DataError: the image cannot be read.
        """


@dataclass(frozen=True, eq=False)
class Seen:
    """What became of one image of a source.

    Args:
        place: its number.
        proposals: its regions; None where it cannot be used.
        found: what was found; None likewise.
        error: why it cannot be used; empty where it can.
        clock: the seconds of its stages.
    """

    place: int
    proposals: Proposals | None
    found: Found | None
    error: str
    clock: Clock


def seen(
    detector: Detector, source: Source, *, min_score: MinScore = None, workers: int = 0, how: How | None = None
) -> Generator[Seen, None, None]:
    """Each image of a source in order; processes read the next ones while the network works.

    Who may fail between two images must close it (``contextlib.closing``).

    Args:
        detector: what detects.
        source: the images.
        min_score: as ``Detector.detect`` takes it.
        workers: processes; 0 reads each image when it is its turn.
        how: what else ``Detector.detect`` takes.
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
