"""What every box head gives."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from torch import Tensor
from typing_extensions import Self

from detkit.errors import ComponentError
from detkit.progress import Progress
from detkit.regions.index import RegionIndex
from detkit.regions.source import FeatureSource, LinearHead
from detkit.structures import Boxes
from detkit.structures.state import Learnt


class BoxHead(Learnt):
    """Moves a scored region onto its object.

    A registered head's constructor takes ``num_classes`` and ``feature_dim`` from the builder.

    Attributes:
        reads_features: whether the head looks at features at all.
        learns_from_features: whether ``fit`` reads its source, too; where not, no features are extracted for it.
        needs_head: the head of the tuned network that ``fit`` takes over ("box"), or empty.
        example_keys: the config keys that ``example_rows`` depends on.
    """

    reads_features: bool = True
    learns_from_features: ClassVar[bool] = True
    needs_head: ClassVar[str] = ""
    example_keys: tuple[str, ...] = ()

    @abstractmethod
    def example_rows(self, index: RegionIndex) -> np.ndarray:
        """The rows that ``fit`` will read, ascending: only these are stored for it."""

    @abstractmethod
    def fit(
        self,
        source: FeatureSource,
        rng: np.random.Generator,
        *,
        head: LinearHead | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learns from the regions of ``source.index``.

        Args:
            source: the features of the head's layer.
            rng: the only randomness.
            head: the network's head of boxes, (4K, D), None where it has none.
            progress: told of each class that was learnt.
        """

    @abstractmethod
    def refine(self, features: Tensor, boxes: Boxes, labels: Tensor) -> Boxes:
        """The moved boxes, not clipped.

        Args:
            features: (N, D) float32 as the extractor gives them; (N, 0) where ``reads_features`` is False.
            boxes: the N regions.
            labels: (N,) int64 class whose transform is applied.
        """

    def every_class(self, features: Tensor, corners: Tensor) -> Tensor | None:
        """(N, K, 4) float32: where the transform of each class moves each box; None where it cannot be told so.

        ``detkit export`` writes it as a graph, so plain tensors go in and out and no step may depend on their values.

        Args:
            features: (N, D) float32, or (N, 0), as for ``refine``.
            corners: (N, 4) float32 boxes.
        """
        return None


def checked_moves(head: BoxHead, moved: Boxes, count: int) -> Boxes:
    """Where a box head has moved boxes to; the core looks at every answer.

    Args:
        head: named in the message.
        moved: its answer.
        count: N, the boxes that it was given.

    Raises:
        ComponentError: it is no ``Boxes`` of N rows.
    """
    if not isinstance(moved, Boxes) or len(moved) != count:
        got = f"{len(moved)} of them" if isinstance(moved, Boxes) else type(moved).__name__
        raise ComponentError(f"{type(head).__name__}.refine: expected Boxes, one for each of {count}, got {got}")
    return moved
