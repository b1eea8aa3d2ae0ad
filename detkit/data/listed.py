"""Data sets whose images are all checked when they are opened."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from detkit.data.base import Dataset
from detkit.data.fingerprint import ImageFacts, fingerprint, inspect_images
from detkit.data.images import image_size
from detkit.errors import DataError
from detkit.structures import Annotations, Sample


@dataclass(frozen=True)
class Entry:
    """An image that a split lists.

    Args:
        image_id: the data set's own name of the image.
        path: the image file.
        annotate: gives its ground truths from the (height, width) of its pixels, or raises DataError.
        declared_size: (height, width) that the annotations give, or None; looked at where images are not.
    """

    image_id: str
    path: Path
    annotate: Callable[[tuple[int, int]], Annotations | None]
    declared_size: Callable[[], tuple[int, int] | None] = lambda: None


class ListedDataset(Dataset):
    """A data set whose constructor sets ``class_names`` and hands its entries to ``_open``."""

    def _open(self, entries: Sequence[Entry], on_bad: Literal["stop", "skip"], needs_images: bool = True) -> None:
        """Reads every annotation and, if they are needed, every image once: mistakes are found before hours are spent.

        Sets ``skipped``; keeps lines that ``annotate`` added to ``warnings``.

        Raises:
            DataError: an id is listed twice; an image or annotation is broken and ``on_bad`` is "stop"; or no image
                is left.
        """
        _refuse_repeated([entry.image_id for entry in entries])
        self.skipped = []
        self._samples: list[Sample] = []
        self._hashes: list[str] = []
        facts_of = inspect_images([entry.path for entry in entries]) if needs_images else map(_declared, entries)
        for entry, facts in zip(entries, facts_of):
            try:
                if isinstance(facts, DataError):
                    raise facts
                annotations = entry.annotate(facts.size)
            except DataError as error:
                if on_bad == "stop":
                    raise
                self.skipped.append(f"{entry.image_id}: {error}")
                continue
            self._samples.append(Sample(entry.image_id, entry.path, facts.size, annotations))
            self._hashes.append(facts.sha256)
        if not self._samples:
            reason = f"all {len(entries)} are broken, the first: {self.skipped[0]}" if entries else "the split is empty"
            raise DataError(f"data set {type(self).__name__}: no image to use: {reason}")

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, i: int) -> Sample:
        """The i-th image; IndexError behind the last."""
        return self._samples[i]

    def fingerprint(self) -> str:
        """A sha256 over class names, image ids, image contents and annotations, in list order."""
        return self._fingerprint

    @functools.cached_property
    def _fingerprint(self) -> str:
        return fingerprint(self.class_names, self._samples, self._hashes)


def _declared(entry: Entry) -> ImageFacts | DataError:
    try:
        size = image_size(entry.path) if entry.path.is_file() else entry.declared_size()
    except DataError as error:
        return error
    if size is None:
        return DataError(f"image {entry.image_id}: its annotation gives no size, and images are not read here")
    return ImageFacts(size, "")


def _refuse_repeated(image_ids: Sequence[str]) -> None:
    seen: set[str] = set()
    for image_id in image_ids:
        if image_id in seen:
            raise DataError(f"image {image_id} is listed twice; each image may stand in the chosen splits once")
        seen.add(image_id)
