"""Features of chosen regions, read at once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from detkit.regions.source import FeatureSource

HELD_BYTES = 2 * 2**30
"""Most bytes of features that are held."""

PART = 16384
"""Rows of whole images that are taken from the source together: what it gives is float32 and twice as large."""


class HeldRows(FeatureSource):
    """Features of some rows of a source, read in one sweep over their images.

    They are held as float16, which loses nothing. If they would take more than ``HELD_BYTES``, nothing is held, and
    each ``take`` reads from the source.

    Args:
        source: where the features come from.
        rows: (M,) int64 ascending index rows.
    """

    def __init__(self, source: FeatureSource, rows: np.ndarray) -> None:
        self.index, self.dim = source.index, source.dim
        self._source, self._rows = source, rows
        self._held: Tensor | None = None
        if 2 * len(rows) * source.dim <= HELD_BYTES:
            self._held = torch.empty(len(rows), source.dim, dtype=torch.float16)
            first = np.flatnonzero(np.diff(self.index.image[rows], prepend=-1))
            cuts = first[1:][np.diff(first // PART) > 0]
            for part in np.split(np.arange(len(rows)), cuts):
                if len(part):
                    self._held[part[0] : part[-1] + 1] = source.take(rows[part])

    def take(self, rows: np.ndarray) -> Tensor:
        """(M, D) float32 features of held rows, in this order."""
        if self._held is None:
            return self._source.take(rows)
        return self._held[torch.from_numpy(np.searchsorted(self._rows, rows))].float()

    def blocks(self) -> Iterator[tuple[int, Tensor]]:
        """The blocks of the source: every row of every image."""
        return self._source.blocks()
