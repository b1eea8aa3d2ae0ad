"""The training examples of SVMs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from detkit.errors import ConfigError, DataError
from detkit.regions.held import PART, HeldRows
from detkit.regions.index import RegionIndex
from detkit.regions.label import svm_labels


@dataclass(frozen=True)
class ExampleRules:
    """The rules for positives and negatives of each class; see ``svm_labels``.

    Args:
        positive_iou: IoU from which a proposal is a positive; None takes ground truths alone.
        negative_iou: IoU from which a region is no negative.
        ignore: whether the ground truths of the class alone or those of all classes rule out a negative.

    Raises:
        ConfigError: if ``positive_iou`` is below ``negative_iou``: a region would be positive and negative at once.
    """

    positive_iou: float | None = None
    negative_iou: float = 0.3
    ignore: Literal["per_class", "any_class"] = "per_class"

    def __post_init__(self) -> None:
        if self.positive_iou is not None and self.positive_iou < self.negative_iou:
            raise ConfigError(
                f"POSITIVE_IOU {self.positive_iou} is below NEGATIVE_IOU {self.negative_iou}: a region would be "
                "positive and negative at once"
            )

    def labels(self, index: RegionIndex, image: int) -> Tensor:
        """(n, K) int8 labels of an image's rows: +1 positive, -1 negative, 0 neither."""
        own = torch.from_numpy(index.truth_label[index.rows(image)])
        return svm_labels(*index.overlaps(image), own, self.negative_iou, self.ignore, self.positive_iou)

    def positives(self, index: RegionIndex) -> tuple[np.ndarray, np.ndarray]:
        """(P,) ascending rows of the positives and their (P,) classes; a row is a positive of one class."""
        if self.positive_iou is None:
            rows = np.flatnonzero(index.truth_label >= 0)
            return rows, index.truth_label[rows]
        found = [(self.labels(index, image) == 1).nonzero().numpy() for image in range(index.num_images)]
        starts = np.repeat(index.offsets[:-1], [len(own) for own in found])
        rows, labels = np.concatenate([np.zeros((0, 2), np.int64), *found]).T
        return starts + rows, labels.copy()

    def negatives(self, index: RegionIndex) -> Callable[[int], Tensor]:
        """A function image -> (n, K) bool: which of the image's rows are negatives of each class."""
        return lambda image: self.labels(index, image) == -1


def draw_negatives(
    index: RegionIndex, negatives: Callable[[int], Tensor], counts: Sequence[int], rng: np.random.Generator
) -> list[np.ndarray]:
    """Index rows of random negatives, ascending, for each class: uniform over all images, without repetition.

    Args:
        index: the regions.
        negatives: image -> (n, K) bool: which of the image's rows are negatives of each class.
        counts: K numbers of rows to draw; a class with fewer negatives gets all of its negatives.
        rng: the only randomness.
    """
    images = range(index.num_images)
    per_image = np.stack([negatives(image).numpy().sum(0) for image in images])
    ends = np.cumsum(per_image, 0)
    # A draw is a place in the list of all negatives of its class; the list itself is never made.
    places = [
        np.sort(rng.choice(total, min(count, total), replace=False))
        for total, count in zip(ends[-1].tolist(), counts, strict=True)
    ]
    drawn: list[list[np.ndarray]] = [[np.zeros(0, np.int64)] for _ in counts]
    for image in images:
        firsts = ends[image] - per_image[image]
        cuts = [np.searchsorted(own, edges) for own, *edges in zip(places, firsts, ends[image], strict=True)]
        if all(start == stop for start, stop in cuts):
            continue
        allowed, offset = negatives(image).numpy(), index.rows(image).start
        for k, (start, stop) in enumerate(cuts):
            drawn[k].append(offset + np.flatnonzero(allowed[:, k])[places[k][start:stop] - firsts[k]])
    return [np.concatenate(rows) for rows in drawn]


def of_classes(positives: Tensor, labels: np.ndarray, num_classes: int) -> list[Tensor]:
    """For each class the features of its positives, out of all (P, D) features and their (P,) classes, -1 for none."""
    return [positives[torch.from_numpy(labels == k)] for k in range(num_classes)]


def features_of_positives(held: HeldRows, rows: np.ndarray, positive_iou: float | None) -> Tensor:
    """(P, D) float16 features of the positives in these (P,) rows.

    Raises:
        DataError: if a feature is no number, or beyond float16; ``positive_iou`` decides how the message calls its row.
    """
    positives = halves(held, rows)
    if not bool(positives.isfinite().all()):
        kind = "ground truth" if positive_iou is None else "positive"
        raise DataError(f"LinearSVM: a {kind}'s features are no numbers, or beyond float16's 65504")
    return positives


def halves(held: HeldRows, rows: np.ndarray) -> Tensor:
    """(n, D) float16 features of held rows, read in parts, because the parts are float32 and twice as large."""
    parts = np.split(rows, range(PART, len(rows), PART))
    return torch.cat([held.take(part).half() for part in parts])
