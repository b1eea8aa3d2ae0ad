"""Sources of the features of a split's regions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from detkit.errors import ConfigError
from detkit.regions.index import RegionIndex

NORM_IMAGES, NORM_ROWS = 200, 200
"""Images of the sample that a mean norm is taken of, and regions of each."""


class FeatureSource(ABC):
    """The features of one layer for every region of a split, read from disk or computed.

    Values are finite, rounded to float16 in both cases, and returned as float32. Both cases therefore give the same
    classifiers.
    """

    index: RegionIndex
    dim: int

    @abstractmethod
    def take(self, rows: np.ndarray) -> Tensor:
        """(M, D) float32 features of these rows, in this order."""

    @abstractmethod
    def blocks(self) -> Iterator[tuple[int, Tensor]]:
        """(image, (n, D) float32 features of all its rows) in list order; images without rows are left out."""

    def mean_norm_of(self, rows: np.ndarray) -> float:
        """Mean L2 norm over these rows; 1.0 if there are none or all features are zero."""
        total = 0.0
        for start in range(0, len(rows), 2048):
            total += float(self.take(rows[start : start + 2048]).norm(dim=1).sum(dtype=torch.float64))
        return total / max(len(rows), 1) or 1.0


class ArraySource(FeatureSource):
    """Features held in memory.

    Args:
        index: R regions.
        features: (R, D) numbers, a row a region.

    Raises:
        ValueError: if ``features`` does not have R rows.
    """

    def __init__(self, index: RegionIndex, features: np.ndarray | Tensor) -> None:
        self._features = torch.as_tensor(features).half().float()
        if self._features.ndim != 2 or len(self._features) != len(index):
            raise ValueError(f"features: expected ({len(index)}, D), got {tuple(self._features.shape)}")
        self.index, self.dim = index, self._features.shape[1]

    def take(self, rows: np.ndarray) -> Tensor:
        """(M, D) float32 features of these rows, in this order."""
        return self._features[torch.as_tensor(rows)]

    def blocks(self) -> Iterator[tuple[int, Tensor]]:
        """(image, (n, D) float32 features of all its rows) in list order; images without rows are left out."""
        for image in range(self.index.num_images):
            rows = self.index.rows(image)
            if rows.stop > rows.start:
                yield image, self._features[rows]


class SomeImages(FeatureSource):
    """The features of some images of a source; its index holds these images only.

    Args:
        source: features of all images.
        images: (M,) int64 ascending positions of the images.
    """

    def __init__(self, source: FeatureSource, images: np.ndarray) -> None:
        self.index, self._rows = source.index.of_images(images)
        self.dim = source.dim
        self._source, self._position = source, {int(image): at for at, image in enumerate(images)}

    def take(self, rows: np.ndarray) -> Tensor:
        """(M, D) float32 features of these rows, in this order."""
        return self._source.take(self._rows[rows])

    def blocks(self) -> Iterator[tuple[int, Tensor]]:
        """(image, (n, D) float32 features of all its rows) in list order; images without rows are left out."""
        for image, features in self._source.blocks():
            if image in self._position:
                yield self._position[image], features


def norm_sample(
    index: RegionIndex, rng: np.random.Generator, num_images: int = NORM_IMAGES, num_rows: int = NORM_ROWS
) -> np.ndarray:
    """Ascending rows: up to ``num_images`` images drawn at random, up to ``num_rows`` random regions of each.

    Source: rcnn_feature_stats.m (200 images, 200 boxes).
    """
    images = np.sort(rng.permutation(index.num_images)[:num_images])
    rows = [np.zeros(0, np.int64)]
    for image in images:
        own = index.rows(int(image))
        rows.append(own.start + np.sort(rng.permutation(own.stop - own.start)[:num_rows]))
    return np.concatenate(rows)


@dataclass(frozen=True, eq=False)
class LinearHead:
    """A linear layer on the last features of a tuned network, for class scores or for boxes.

    Args:
        weight: (R, D) float32; R is K+1 for classes, background last, and 4K for boxes, four rows a class.
        bias: (R,) float32.
    """

    weight: Tensor
    bias: Tensor

    def __post_init__(self) -> None:
        if self.weight.ndim != 2 or self.bias.shape != (len(self.weight),) or self.weight.dtype != torch.float32:
            raise ValueError(
                f"head: expected float32 (R, D) and (R,), got {self.weight.dtype} {tuple(self.weight.shape)} "
                f"and {tuple(self.bias.shape)}"
            )


def head_of(head: LinearHead | None, shape: tuple[int, int], *, slot: str, taker: str, remedy: str) -> LinearHead:
    """The tuned head that a component keeps, after a check that it exists and fits.

    Args:
        head: the head of the network; None if it has none.
        shape: (R, D) that the component expects.
        slot: the component's config section, such as "CLASSIFIER".
        taker: the component's registered name.
        remedy: what the user can do if the network has no such head.

    Raises:
        ConfigError: if there is no head, or it reads another layer.
    """
    if head is None:
        raise ConfigError(f"{slot}.NAME: {taker} takes over a tuned head, but this network has none; {remedy}")
    if tuple(head.weight.shape) != shape:
        raise ConfigError(
            f"{slot}.LAYER: the network's head has (outputs, inputs) {tuple(head.weight.shape)}, {taker} expected "
            f"{shape}; set the layer to the network's last one, which carries the head"
        )
    return head
