"""The input and the report of writers of label files."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from detkit.data.labels.form import LabelledObject
from detkit.errors import DataError


@dataclass(frozen=True, eq=False)
class WrittenImage:
    """One image of a new data set.

    Args:
        image_id: its name in the new data set, without folder and suffix.
        source: the image file.
        size: (height, width) of the pixels that its boxes refer to.
        objects: its labels; None if they are not known.
    """

    image_id: str
    source: Path
    size: tuple[int, int]
    objects: tuple[LabelledObject, ...] | None

    @property
    def file_name(self) -> str:
        """The image file's name in the new data set."""
        return f"{self.image_id}{self.source.suffix.lower()}"


@dataclass(frozen=True, eq=False)
class NewSet:
    """A data set to be written.

    Args:
        images: the images, with different ids.
        splits: the ids of each split; empty for a set without splits.
        class_names: the classes in label order.
        link: whether to link to the image files instead of copying them.
        lost: for each kind of value that the format cannot hold, the counts by image; writers add to it.
    """

    images: Sequence[WrittenImage]
    splits: Mapping[str, Sequence[str]]
    class_names: Sequence[str]
    link: bool = False
    lost: dict[str, Counter[str]] = field(default_factory=dict)

    def lose(self, kind: str, image_id: str, count: int = 1) -> None:
        """Counts a lost value."""
        if count:
            self.lost.setdefault(kind, Counter())[image_id] += count

    def place(self, image: WrittenImage, folder: Path) -> None:
        """Copies or links an image file into a folder."""
        target = folder / image.file_name
        if self.link:
            target.symlink_to(image.source.resolve())
            return
        try:
            data = image.source.open("rb")
        except OSError as error:
            raise DataError(f"{image.source}: cannot read the image: {error.strerror or error}") from None
        with data, target.open("wb") as copy:
            shutil.copyfileobj(data, copy, 1 << 20)

    def elementary_splits(self) -> dict[str, list[WrittenImage]]:
        """The images of each split that is no union of others, such as trainval; "" for a set without splits."""
        by_id = {image.image_id: image for image in self.images}
        if not self.splits:
            return {"": list(self.images)}
        parts = {name: set(ids) for name, ids in self.splits.items()}
        smaller = {
            name: [part for other, part in parts.items() if other != name and part and part < ids]
            for name, ids in parts.items()
        }
        joined = {name for name, ids in parts.items() if smaller[name] and set().union(*smaller[name]) == ids}
        return {name: [by_id[i] for i in ids] for name, ids in self.splits.items() if name not in joined}
