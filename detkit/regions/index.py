"""All regions of a split, as columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from detkit.regions.label import Truths, class_overlaps, finetune_labels
from detkit.structures import Boxes, Proposals, Sample


@dataclass(frozen=True, eq=False)
class RegionIndex:
    """The regions of a split, image by image in list order. In each image ground truths come first, then proposals.

    Args:
        samples: the I images.
        num_classes: K.
        boxes: all R regions.
        image: (R,) int64 position in ``samples``.
        truth_label: (R,) int64 class of a ground-truth row, -1 for a proposal.
        offsets: (I+1,) int64; image i holds the rows offsets[i]:offsets[i+1].
        difficult: whether difficult truths are learnt from.
        foreground_iou: smallest best IoU of a foreground region in fine-tuning.
        background_from: smallest best IoU of a background region in fine-tuning.
        background_below: the best IoU of a background region is below this; None takes ``foreground_iou``.
    """

    samples: Sequence[Sample]
    num_classes: int
    boxes: Boxes
    image: np.ndarray
    truth_label: np.ndarray
    offsets: np.ndarray
    difficult: Literal["use", "ignore"] = "use"
    foreground_iou: float = 0.5
    background_from: float = 0.0
    background_below: float | None = None

    @classmethod
    def build(
        cls,
        samples: Sequence[Sample],
        proposals: Sequence[Proposals],
        num_classes: int,
        *,
        difficult: Literal["use", "ignore"] = "use",
        foreground_iou: float = 0.5,
        background_from: float = 0.0,
        background_below: float | None = None,
        with_truths: bool = True,
    ) -> RegionIndex:
        """The index of a split.

        Args:
            samples: I images.
            proposals: their I proposal lists.
            num_classes: K.
            difficult: whether difficult truths are learnt from.
            foreground_iou: as of the index, like the next two.
            background_from: as of the index.
            background_below: as of the index.
            with_truths: whether ground truths are rows; False at test.
        """
        if len(samples) != len(proposals):
            raise ValueError(f"region index: {len(samples)} images but {len(proposals)} proposal lists")
        boxes: list[Boxes] = []
        truth_label: list[Tensor] = []
        for sample, found in zip(samples, proposals, strict=True):
            truths = Truths.of(sample.annotations if with_truths else None, difficult)
            rows = [truths.used.boxes, found.boxes] if with_truths else [found.boxes]
            boxes.append(Boxes.cat(rows))
            own = torch.full((len(boxes[-1]),), -1, dtype=torch.int64)
            if with_truths:
                own[: len(truths.used)] = truths.used.labels
            truth_label.append(own)
        counts = [len(b) for b in boxes]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        empty = torch.zeros(0, dtype=torch.int64)
        return cls(
            samples=samples,
            num_classes=num_classes,
            boxes=Boxes.cat(boxes),
            image=np.repeat(np.arange(len(samples), dtype=np.int64), counts),
            truth_label=torch.cat([empty, *truth_label]).numpy(),
            offsets=offsets,
            difficult=difficult,
            foreground_iou=foreground_iou,
            background_from=background_from,
            background_below=background_below,
        )

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def num_images(self) -> int:
        """I, the number of images."""
        return len(self.samples)

    def rows(self, image: int) -> slice:
        """The rows of one image."""
        return slice(int(self.offsets[image]), int(self.offsets[image + 1]))

    def row_numbers(self, image: int) -> np.ndarray:
        """(n,) int64 rows of one image."""
        return np.arange(self.offsets[image], self.offsets[image + 1])

    def truths(self, image: int) -> Truths:
        """The ground truths of one image, split by this index's rule for difficult objects."""
        return Truths.of(self.samples[image].annotations, self.difficult)

    def overlaps(self, image: int) -> tuple[Tensor, Tensor]:
        """(n, K) float64 class overlaps of one image's rows with its used and with its ignored truths."""
        truths, boxes = self.truths(image), self.boxes[self.rows(image)]
        return tuple(class_overlaps(boxes, t, self.num_classes) for t in (truths.used, truths.ignored))  # type: ignore[return-value]

    def of_images(self, images: np.ndarray) -> tuple[RegionIndex, np.ndarray]:
        """The index of (M,) ascending images alone, and the rows of this index that it holds."""
        rows = np.flatnonzero(np.isin(self.image, images))
        counts = np.diff(self.offsets)[images]
        part = replace(
            self,
            samples=[self.samples[image] for image in images],
            boxes=self.boxes[rows],
            image=np.repeat(np.arange(len(images), dtype=np.int64), counts),
            truth_label=self.truth_label[rows],
            offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        )
        return part, rows

    def by_image(self, rows: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Each image that occurs in ``rows`` (any order), with the positions in ``rows`` of its regions."""
        image = self.image[rows]
        order = np.argsort(image, kind="stable")
        images, starts = np.unique(image[order], return_index=True)
        for i, start, count in zip(images, starts, np.diff(starts, append=len(order)), strict=True):
            yield int(i), order[start : start + count]

    @cached_property
    def label(self) -> np.ndarray:
        """(R,) int64 fine-tuning label of each row: its class, K for background, or -1 for neither."""
        labels = [
            finetune_labels(*self.overlaps(image), self.foreground_iou, self.background_from, self.background_below)
            for image in range(self.num_images)
        ]
        return torch.cat([torch.zeros(0, dtype=torch.int64), *labels]).numpy()

    @cached_property
    def foreground_rows(self) -> np.ndarray:
        """Ascending rows whose fine-tuning label is a class."""
        return np.flatnonzero((self.label >= 0) & (self.label < self.num_classes))

    @cached_property
    def background_rows(self) -> np.ndarray:
        """Ascending rows whose fine-tuning label is background."""
        return np.flatnonzero(self.label == self.num_classes)
