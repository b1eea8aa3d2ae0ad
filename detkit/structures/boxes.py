"""Axis-aligned boxes in continuous pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes (x1, y1, x2, y2) in continuous pixels of the original image; x2 and y2 are exclusive.

    Args:
        tensor: (N, 4) float32, finite. ``Boxes.of`` converts lists and arrays.

    Raises:
        ValueError: if shape or dtype differ, or a value is not finite.
    """

    tensor: Tensor

    def __post_init__(self) -> None:
        if self.tensor.ndim != 2 or self.tensor.shape[1] != 4 or self.tensor.dtype != torch.float32:
            raise ValueError(
                f"boxes: expected a float32 tensor (N, 4), got {self.tensor.dtype} {tuple(self.tensor.shape)}"
            )
        # numpy: of the few boxes of an image torch spends most of its time on the calls
        finite = np.isfinite(self.tensor.numpy()).all() if _is_plain(self.tensor) else torch.isfinite(self.tensor).all()
        if not bool(finite):
            row = int((~torch.isfinite(self.tensor)).any(1).nonzero()[0])
            raise ValueError(f"boxes: row {row} is not finite: {self.tensor[row].tolist()}")

    @classmethod
    def of(cls, rows: Sequence[Sequence[float]] | np.ndarray | Tensor) -> Boxes:
        """Boxes from N rows of four numbers; N may be 0."""
        array = np.array(rows, dtype=np.float32)
        return cls(torch.from_numpy(array if array.size else array.reshape(0, 4)))

    @classmethod
    def cat(cls, parts: Sequence[Boxes]) -> Boxes:
        """All boxes of the parts, in order."""
        return cls(torch.cat([p.tensor for p in parts])) if parts else cls.of([])

    def __len__(self) -> int:
        return len(self.tensor)

    def __getitem__(self, rows: Any) -> Boxes:
        """The boxes of a slice, an index array or a mask; an integer gives one row."""
        return Boxes(self.tensor[rows].reshape(-1, 4))

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.tensor)

    def numpy(self) -> np.ndarray:
        """The (N, 4) float32 array that shares this tensor's memory."""
        return self.tensor.numpy()

    def distinct(self) -> tuple[np.ndarray, np.ndarray]:
        """The first row of each different box, ascending, and for each of the N boxes its position among these rows."""
        _, first, which = np.unique(self.numpy(), axis=0, return_index=True, return_inverse=True)
        order = np.argsort(first)
        return first[order], np.argsort(order)[which.reshape(-1)]

    def area(self) -> Tensor:
        """(N,) float64 areas in square pixels; 0 for an inverted box."""
        return torch.from_numpy(self._sides_product())

    def intersection(self, other: Boxes) -> Tensor:
        """(N, M) float64 intersection areas of each pair, in square pixels."""
        return torch.from_numpy(self._shared(other))

    def iou(self, other: Boxes) -> Tensor:
        """(N, M) float64 intersection over union in [0, 1]; 0 for boxes without a common area.

        Compare it with thresholds in double precision. Single precision rounds areas above 2**24 square pixels, so an
        IoU of exactly one half may become less than 0.5. In double precision, the IoU is on the same side of a
        threshold of up to three digits as the exact fraction, for whole pixels and sides up to a million.
        """
        shared = self._shared(other)
        union = self._sides_product()[:, None] + other._sides_product()[None] - shared
        return torch.from_numpy(shared / np.where(shared > 0, union, 1))

    def iou_of_pairs(self, other: Boxes) -> Tensor:
        """(N,) float64 intersection over union of each box with the box in the same row of N others."""
        own, their = self.tensor.double(), other.tensor.double()
        sides = torch.minimum(own[:, 2:], their[:, 2:]) - torch.maximum(own[:, :2], their[:, :2])
        shared = sides.clamp(min=0).prod(1)
        union = self.area() + other.area() - shared
        return shared / torch.where(shared > 0, union, 1)

    def _sides_product(self) -> np.ndarray:
        corners = self.numpy().astype(np.float64)
        width, height = np.maximum(corners[:, 2:] - corners[:, :2], 0).T
        product: np.ndarray = width * height
        return product

    def _shared(self, other: Boxes) -> np.ndarray:
        x1, y1, x2, y2 = self.numpy().astype(np.float64).T[..., None]
        left, top, right, bottom = other.numpy().astype(np.float64).T[:, None]
        width = np.maximum(np.minimum(x2, right) - np.maximum(x1, left), 0)
        height = np.maximum(np.minimum(y2, bottom) - np.maximum(y1, top), 0)
        shared: np.ndarray = width * height
        return shared

    def clip(self, size: tuple[int, int]) -> Boxes:
        """The boxes cut to an image of (height, width)."""
        height, width = size
        limit = torch.tensor([width, height, width, height], dtype=torch.float32)
        return Boxes(torch.minimum(self.tensor.clamp(min=0), limit))

    def flip(self, width: int) -> Boxes:
        """The boxes in the horizontally mirrored image of this width."""
        x1, y1, x2, y2 = self.tensor.unbind(1)
        return Boxes(torch.stack([width - x2, y1, width - x1, y2], 1))


def _is_plain(tensor: Tensor) -> bool:
    """Whether numpy can look at a tensor's memory."""
    return tensor.device.type == "cpu" and not tensor.requires_grad
