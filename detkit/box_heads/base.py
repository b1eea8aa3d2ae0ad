"""The base class of box heads."""

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
    """Moves the box of a scored region onto its object.

    A registered head's constructor takes ``num_classes`` and ``feature_dim`` from the builder.

    Attributes:
        reads_features: whether the head uses features at all.
        learns_from_features: whether ``fit`` reads its source, too; if not, no features are extracted for it.
        needs_head: "box" if ``fit`` needs the box head of the tuned network, else empty.
        example_keys: the config keys that ``example_rows`` depends on.
    """

    reads_features: bool = True
    learns_from_features: ClassVar[bool] = True
    needs_head: ClassVar[str] = ""
    example_keys: tuple[str, ...] = ()

    @abstractmethod
    def example_rows(self, index: RegionIndex) -> np.ndarray:
        """The rows of the index that ``fit`` will read, ascending. Only their features are stored for it."""

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
            head: the box head of the network, (4K, D); None if it has none.
            progress: updated after each class that was learnt.
        """

    @abstractmethod
    def refine(self, features: Tensor, boxes: Boxes, labels: Tensor) -> Boxes:
        """The moved boxes, not clipped.

        Args:
            features: (N, D) float32 as the extractor returns them; (N, 0) if ``reads_features`` is False.
            boxes: the N regions.
            labels: (N,) int64 class whose transform moves each box.
        """

    def every_class(self, features: Tensor, corners: Tensor) -> Tensor | None:
        """(N, K, 4) float32: each box moved by the transform of each class; None if the head cannot be exported.

        ``detkit export`` writes it as a graph. It therefore takes and returns tensors, and no step may depend on their
        values.

        Args:
            features: (N, D) float32, or (N, 0), as for ``refine``.
            corners: (N, 4) float32 boxes.
        """
        return None


def checked_moves(head: BoxHead, moved: Boxes, count: int) -> Boxes:
    """``moved``, after a check. Every result of a box head passes through it.

    Args:
        head: named in the message.
        moved: its result.
        count: N, the number of boxes that it was given.

    Raises:
        ComponentError: if ``moved`` is no ``Boxes`` of N rows.
    """
    if not isinstance(moved, Boxes) or len(moved) != count:
        got = f"{len(moved)} of them" if isinstance(moved, Boxes) else type(moved).__name__
        raise ComponentError(f"{type(head).__name__}.refine: expected Boxes, one for each of {count}, got {got}")
    return moved
