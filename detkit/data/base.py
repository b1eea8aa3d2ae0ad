"""What every data set gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from detkit.structures import Sample


class Dataset(ABC):
    """The images of one or more splits, in list order.

    A registered data set's constructor takes, from the builder, ``splits`` (a tuple of split names), ``on_bad``
    ("stop" or "skip") and, if it can do without image files, ``needs_images`` (False where only ground truths are
    looked at: sizes then come from the annotations); its other arguments are config keys.

    Attributes:
        class_names: the K class names; label k is ``class_names[k]``.
        skipped: one line for each image left out under ``on_bad="skip"``.
        warnings: one line for each oddity that was repaired, for example an image size that differs from its XML.
        num_size_differences: how many of them are such sizes.
        located_by: its config keys that say where its files lie: ROOT, which DATA.ROOT sets; it empties the others.
        evaluators: names of the evaluators that judge detections in it where EVALUATORS is not set.
    """

    evaluators: ClassVar[tuple[str, ...]] = ("VOC",)
    located_by: ClassVar[tuple[str, ...]] = ()

    class_names: tuple[str, ...]
    skipped: list[str]
    warnings: list[str]
    num_size_differences: int = 0

    @classmethod
    def recognises(cls, root: Path) -> str:
        """Why a folder is one of this data set, for DATA.ROOT; empty where it is not, or where nobody can tell.

        Raises:
            DataError: it is, but cannot be used.
        """
        return ""

    @property
    def problems(self) -> Sequence[str]:
        """Each mistake of the images that were left out, a line each; an image may have several."""
        return self.skipped

    @abstractmethod
    def __len__(self) -> int:
        """The number of images."""

    @abstractmethod
    def __getitem__(self, i: int) -> Sample:
        """The i-th image; IndexError behind the last."""

    def __iter__(self) -> Iterator[Sample]:
        return (self[i] for i in range(len(self)))

    @abstractmethod
    def fingerprint(self, *, truths: bool = True) -> str:
        """A sha256 over image ids and contents in list order, and, with ``truths``, annotations and class names."""


class WithoutTruths(Dataset):
    """The images of a data set, for who must not look at their annotations.

    Args:
        dataset: the data set.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self.class_names, self.skipped, self.warnings = dataset.class_names, dataset.skipped, dataset.warnings

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, i: int) -> Sample:
        """The i-th image, without annotations; IndexError behind the last."""
        return replace(self._dataset[i], annotations=None)

    def fingerprint(self, *, truths: bool = True) -> str:
        """That of the images alone."""
        return self._dataset.fingerprint(truths=False)
