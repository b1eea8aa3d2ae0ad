"""Class-agnostic candidate boxes of one image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from detkit.structures.boxes import Boxes


@dataclass(frozen=True, eq=False)
class Proposals:
    """The result of a proposal generator for one image.

    Args:
        boxes: N boxes inside the image, each with an area.
        objectness: (N,) float32, higher is better; all zero if the generator does not rank.
        image_size: (height, width) of the image.

    Raises:
        ValueError: if lengths or dtypes differ, or a box has no area; the message names the row.
    """

    boxes: Boxes
    objectness: Tensor
    image_size: tuple[int, int]

    def __post_init__(self) -> None:
        if self.objectness.dtype != torch.float32 or self.objectness.shape != (len(self.boxes),):
            raise ValueError(
                f"proposals: expected objectness float32 ({len(self.boxes)},), "
                f"got {self.objectness.dtype} {tuple(self.objectness.shape)}"
            )
        empty = (self.boxes.area() <= 0).nonzero()
        if len(empty):
            row = int(empty[0])
            raise ValueError(f"proposals: box {row} has no area: {self.boxes.tensor[row].tolist()} (x1, y1, x2, y2)")

    @classmethod
    def unranked(cls, boxes: Boxes, image_size: tuple[int, int]) -> Proposals:
        """Proposals whose generator gives no objectness."""
        return cls(boxes, torch.zeros(len(boxes)), image_size)

    def __len__(self) -> int:
        return len(self.boxes)
