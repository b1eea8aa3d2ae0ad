"""One image of a data set and its ground truths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from detkit.structures.boxes import Boxes

OTHER_CLASS = -1
"""The label of an object of a class that is not asked for."""


@dataclass(frozen=True, eq=False)
class Annotations:
    """The ground truths of one image, in file order.

    Args:
        boxes: N boxes.
        labels: (N,) int64 classes 0..K-1, or OTHER_CLASS. Nothing is learnt from such an object or near it, and
            detections of any class that find it are ignored.
        difficult: (N,) bool, VOC's flag: ignored by the evaluation.
        crowd: (N,) bool, COCO's flag: a group of objects in one box.
        area: (N,) float64 area in pixels, by which COCO's evaluation groups objects: of the outline if the data set has
            one, else of the box.
        truncated: (N,) bool, VOC's flag: the object extends beyond its box. None if the data set does not say.
    """

    boxes: Boxes
    labels: Tensor
    difficult: Tensor
    crowd: Tensor
    area: Tensor
    truncated: Tensor | None = None

    def __post_init__(self) -> None:
        columns = {name: getattr(self, name) for name in _DTYPES}
        if self.truncated is not None:
            columns["truncated"] = self.truncated
        for name, value in columns.items():
            dtype = _DTYPES.get(name, torch.bool)
            if value.dtype != dtype or value.shape != (len(self.boxes),):
                raise ValueError(
                    f"annotations: expected {name} {dtype} ({len(self.boxes)},), got {value.dtype} {tuple(value.shape)}"
                )

    @classmethod
    def of(
        cls,
        boxes: Boxes,
        labels: list[int] | Tensor,
        difficult: list[bool] | Tensor | None = None,
        crowd: list[bool] | Tensor | None = None,
        area: Sequence[float | None] | Tensor | None = None,
        truncated: list[bool] | None = None,
    ) -> Annotations:
        """Annotations from lists. By default difficult and crowd are all False, and areas are those of the boxes."""
        flags = [
            torch.zeros(len(boxes), dtype=torch.bool) if f is None else torch.as_tensor(f, dtype=torch.bool)
            for f in (difficult, crowd)
        ]
        corners = boxes.tensor.double()
        areas = (corners[:, 2:] - corners[:, :2]).clamp(min=0).prod(1)
        if area is not None and not isinstance(area, Tensor):
            area = [own if given is None else given for given, own in zip(area, areas.tolist(), strict=True)]
        areas = areas if area is None else torch.as_tensor(area, dtype=torch.float64)
        cut = None if truncated is None else torch.tensor(truncated, dtype=torch.bool)
        return cls(boxes, torch.as_tensor(labels, dtype=torch.int64), flags[0], flags[1], areas, cut)

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def ignored(self) -> Tensor:
        """(N,) bool: objects that a detector need not find: difficult, a crowd, or of another class."""
        return self.difficult | self.crowd | (self.labels == OTHER_CLASS)

    def __getitem__(self, rows: Tensor | slice) -> Annotations:
        cut = None if self.truncated is None else self.truncated[rows]
        return Annotations(self.boxes[rows], **{name: getattr(self, name)[rows] for name in _DTYPES}, truncated=cut)


_DTYPES = {"labels": torch.int64, "difficult": torch.bool, "crowd": torch.bool, "area": torch.float64}


@dataclass(frozen=True, eq=False)
class Sample:
    """One image of a split.

    Args:
        image_id: id of the image in the data set.
        path: the image file.
        size: (height, width) in pixels, read from the image itself and turned by ``orientation``.
        annotations: its ground truths, or None if the split has none.
        stamp: size of the file in bytes and its time of change in nanoseconds when it was checked; None if it was not.
        orientation: EXIF's number for the turn or mirroring from the stored pixels to this image; 1 changes nothing.
    """

    image_id: str
    path: Path
    size: tuple[int, int]
    annotations: Annotations | None = None
    stamp: tuple[int, int] | None = None
    orientation: int = 1

    def __post_init__(self) -> None:
        if min(self.size) < 1:
            raise ValueError(f"sample {self.image_id}: expected a positive (height, width), got {self.size}")
