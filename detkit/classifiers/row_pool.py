"""Features of regions that several miners keep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import torch
from torch import Tensor

SLAB = 512
"""Rows that are allocated together: single ones would leave holes that nothing larger fits into."""


class RowPool:
    """Features of index rows, each held once, as float16, as long as a miner keeps it. Sources round features to it.

    Memory: 2 D bytes for each row, of the largest number of rows that were held at once. Free places are used again.
    """

    def __init__(self) -> None:
        self._slabs: list[Tensor] = []
        self._place: dict[int, int] = {}
        self._keepers: Counter[int] = Counter()
        self._free: list[int] = []

    def __len__(self) -> int:
        """How many rows are held."""
        return len(self._place)

    def __getitem__(self, row: int) -> Tensor:
        """(D,) float16 features of a row that is held."""
        slab, at = divmod(self._place[row], SLAB)
        return self._slabs[slab][at]

    def keep(self, row: int, features: Tensor) -> None:
        """Counts one more miner that keeps a row; its (D,) features are copied only for the first one."""
        if row not in self._place:
            if not self._free:
                self._free = list(range((len(self._slabs) + 1) * SLAB - 1, len(self._slabs) * SLAB - 1, -1))
                self._slabs.append(torch.empty(SLAB, len(features), dtype=torch.float16))
            self._place[row] = self._free.pop()
            self[row].copy_(features)
        self._keepers[row] += 1

    def release(self, rows: Iterable[int]) -> None:
        """Counts one miner less for each of these rows, and drops rows that no miner keeps."""
        for row in rows:
            self._keepers[row] -= 1
            if self._keepers[row] == 0:
                del self._keepers[row]
                self._free.append(self._place.pop(row))
