"""Data sets whose images are all checked when they are opened."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from detkit.data.base import Dataset
from detkit.data.classes import differ_by_case
from detkit.data.exif import Exif, orientation_of, upright_boxes, upright_size
from detkit.data.fingerprint import ImageFacts, fingerprint, inspect_images
from detkit.data.images import MAX_MEGAPIXELS, image_size
from detkit.data.repairs import size_differs
from detkit.errors import DataError, counted
from detkit.structures import Annotations, Sample

MAX_CLASS_BYTES = 100
_LINE_BREAKERS = {"Cc", "Cs", "Zl", "Zp"}  # control characters, half characters, separators of lines


@dataclass(frozen=True)
class Entry:
    """An image that a split lists.

    Args:
        image_id: id of the image in the data set.
        path: the image file.
        annotate: returns its ground truths for the (height, width) of its pixels, or raises DataError.
        declared_size: returns the (height, width) of the annotations, or None; used if images are not read.
    """

    image_id: str
    path: Path
    annotate: Callable[[tuple[int, int]], Annotations | None]
    declared_size: Callable[[], tuple[int, int] | None] = lambda: None


class ListedDataset(Dataset):
    """A data set whose constructor sets ``class_names`` and hands its entries to ``_open``."""

    def _open(
        self,
        entries: Sequence[Entry],
        on_bad: Literal["stop", "skip"],
        needs_images: bool = True,
        max_megapixels: float = MAX_MEGAPIXELS,
        exif: Exif = "ignore",
    ) -> None:
        """Reads every annotation and, if needed, every image once, to find mistakes before a long run.

        Sets ``skipped`` and ``problems``; keeps lines that ``annotate`` added to ``warnings``.

        Raises:
            DataError: an id is listed twice; an id or class name cannot stand in a line of text or a file name; an
                image or annotation is broken and ``on_bad`` is "stop"; or no image is left.
        """
        refuse_unwritable([entry.image_id for entry in entries], self.class_names)
        _refuse_repeated([entry.image_id for entry in entries])
        self.warnings += differ_by_case(self.class_names)
        self.skipped, self._problems = [], []
        self._samples: list[Sample] = []
        self._hashes: list[str] = []
        self._fingerprints: dict[bool, str] = {}
        paths = [entry.path for entry in entries]
        facts_of = inspect_images(paths, max_megapixels) if needs_images else map(_declared, entries)
        for entry, facts in zip(entries, facts_of):
            try:
                if isinstance(facts, DataError):
                    raise facts
                sample = _sample(entry, facts, exif)
            except DataError as error:
                if on_bad == "stop":
                    raise
                self.skipped.append(f"{entry.image_id}: {error}")
                self._problems += [f"{entry.image_id}: {line}" for line in error.problems]
                continue
            self._samples.append(sample)
            self._hashes.append(facts.sha256 if sample.orientation == 1 else f"{facts.sha256}, {sample.orientation}")
        if turned := [sample.image_id for sample in self._samples if sample.orientation != 1]:
            self.warnings.append(
                f"EXIF: {exif}: {counted(len(turned), 'photograph')} turned upright, the first: {turned[0]}"
            )
        if not self._samples:
            reason = f"all {len(entries)} are broken, the first: {self.skipped[0]}" if entries else "the split is empty"
            raise DataError(f"data set {type(self).__name__}: no image to use: {reason}", self._problems)

    def _compare_size(self, where: Path | str, told: tuple[int, int] | None, size: tuple[int, int]) -> None:
        """Warns of, and counts, an annotation whose (height, width) is not the image's."""
        if told is not None and told != size:
            self.warnings.append(size_differs(where, told, size))
            self.num_size_differences += 1

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, i: int) -> Sample:
        """The i-th image; IndexError behind the last."""
        return self._samples[i]

    @property
    def problems(self) -> list[str]:
        """A line for each mistake of the images that were left out."""
        return self._problems

    def fingerprint(self, *, truths: bool = True) -> str:
        """A sha256 over image ids and contents in list order, and, with ``truths``, annotations and class names."""
        if truths not in self._fingerprints:
            names = self.class_names if truths else None
            self._fingerprints[truths] = fingerprint(self._samples, self._hashes, names)
        return self._fingerprints[truths]


def _sample(entry: Entry, facts: ImageFacts, exif: Exif) -> Sample:
    """The image with its ground truths, turned upright if ``exif`` says so.

    Raises:
        DataError: if its annotation is broken, or its image, which holds the rotation, is missing.
    """
    if exif == "ignore":
        return Sample(entry.image_id, entry.path, facts.size, entry.annotate(facts.size), facts.stamp)
    if not entry.path.is_file():
        raise DataError(f"{entry.path}: no such image; EXIF: {exif} needs the images, as they note how they are turned")
    orientation = orientation_of(entry.path)
    size = upright_size(facts.size, orientation)
    annotations = entry.annotate(facts.size if exif == "turn" else size)
    if exif == "turn" and annotations is not None:
        annotations = replace(annotations, boxes=upright_boxes(annotations.boxes, orientation, facts.size))
    return Sample(entry.image_id, entry.path, size, annotations, facts.stamp, orientation)


def _declared(entry: Entry) -> ImageFacts | DataError:
    try:
        size = image_size(entry.path) if entry.path.is_file() else entry.declared_size()
    except DataError as error:
        return error
    if size is None:
        return DataError(f"image {entry.image_id}: its annotation gives no size, and images are not read here")
    return ImageFacts(size, "")


def _refuse_repeated(image_ids: Sequence[str]) -> None:
    lines = [
        f"image {image_id} is listed {'twice' if count == 2 else f'{count} times'}; each image may stand in the chosen "
        "splits once"
        for image_id, count in Counter(image_ids).items()
        if count > 1
    ]
    if lines:
        raise DataError(lines[0], lines)


def refuse_unwritable(image_ids: Sequence[str], class_names: Sequence[str]) -> None:
    """Refuses names that detection files cannot hold: they have an image id in each line and a class in their name.

    Raises:
        DataError: if there is such a name; it names each.
    """
    lines = [
        f"{kind} {name!r} cannot stand in a detection file; rename it: without line breaks and control characters, in "
        "UTF-8, no space at either end"
        for kind, names in (("image id", image_ids), ("class", class_names))
        for name in names
        if not _is_writable(name)
    ]
    lines += [
        f"class {name!r} is too long for the name of its detection file; at most {MAX_CLASS_BYTES} bytes of UTF-8"
        for name in class_names
        if len(name.encode(errors="replace")) > MAX_CLASS_BYTES
    ]
    if lines:
        raise DataError(lines[0], lines)


def _is_writable(name: str) -> bool:
    return name == name.strip() != "" and not any(unicodedata.category(c) in _LINE_BREAKERS for c in name)
