"""The base class of data sets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from detkit.structures import Sample


class Dataset(ABC):
    """The images of one or more splits, in list order.

    The builder gives a registered data set's constructor these arguments; all others are config keys:
    - ``splits``: a tuple of split names;
    - ``on_bad``: "stop" or "skip";
    - ``needs_images``, if the data set works without image files: False reads ground truths only and takes image sizes
      from the annotations.

    Attributes:
        class_names: the K class names; label k is ``class_names[k]``.
        skipped: one line for each image left out under ``on_bad="skip"``.
        warnings: one line for each small mistake that was repaired, such as an XML file with a wrong image size.
        num_size_differences: number of warnings about image sizes.
        located_by: config keys that locate its files, such as ROOT. DATA.ROOT sets ROOT and empties the others.
        evaluators: names of the evaluators that are used if EVALUATORS is not set.
    """

    evaluators: ClassVar[tuple[str, ...]] = ("VOC",)
    located_by: ClassVar[tuple[str, ...]] = ()

    class_names: tuple[str, ...]
    skipped: list[str]
    warnings: list[str]
    num_size_differences: int = 0

    @classmethod
    def recognises(cls, root: Path) -> str:
        """The sign by which a folder is of this kind, for DATA.ROOT; empty if it is not, or cannot be told.

        Raises:
            DataError: if the folder is of this kind but cannot be used.
        """
        return ""

    @property
    def problems(self) -> Sequence[str]:
        """A line for each mistake of the images that were left out; an image may have several."""
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
    """The images of a data set without their annotations.

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
        """The fingerprint of the images alone."""
        return self._dataset.fingerprint(truths=False)
