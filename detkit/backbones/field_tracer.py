"""Follows which pixels the cells of maps see, through the operations of a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten


@dataclass(frozen=True, eq=False)
class Axis:
    """The cells of a map along one axis. Its methods return objects of its own class.

    Args:
        spans: (n, 2) first pixel that each cell sees, and the pixel after the last.
        step: pixels between neighbouring cells.
    """

    spans: np.ndarray
    step: float

    def windows(self, count: int, kernel: int, stride: int, padding: int, dilation: int) -> Axis:
        """The cells after a convolution or pooling with ``count`` outputs; padded cells lie outside the map."""
        first = np.arange(count) * stride - padding
        last = first + dilation * (kernel - 1)
        return type(self)(np.stack([self._at(first)[:, 0], self._at(last)[:, 1]], 1), self.step * stride)

    def bins(self, count: int) -> Axis:
        """The cells after an adaptive pooling; cell i sees floor(i n / count) to ceil((i + 1) n / count), exclusive."""
        at, length = np.arange(count), len(self.spans)
        first, last = at * length // count, -(-(at + 1) * length // count) - 1
        step = self.step * length / count if count > 1 else 0.0
        return type(self)(np.stack([self.spans[first, 0], self.spans[last, 1]], 1), step)

    def whole(self, count: int) -> Axis:
        """Cells that see the whole axis."""
        span = [[self.spans[:, 0].min(), self.spans[:, 1].max()]]
        return type(self)(np.repeat(span, count, 0), 0.0)

    def join(self, other: Axis) -> Axis:
        """Cells that see what both axes see; if their lengths differ, each cell sees all of the shorter axis."""
        if len(self.spans) != len(other.spans):
            longer, shorter = (self, other) if len(self.spans) > len(other.spans) else (other, self)
            return longer.join(shorter.whole(len(longer.spans)))
        low = np.minimum(self.spans[:, 0], other.spans[:, 0])
        high = np.maximum(self.spans[:, 1], other.spans[:, 1])
        return Axis(np.stack([low, high], 1), max(self.step, other.step))

    def _at(self, cells: np.ndarray) -> np.ndarray:
        inside = cells.clip(0, len(self.spans) - 1)
        return self.spans[inside] + ((cells - inside) * self.step)[:, None]


Axes = tuple[Axis, Axis]
"""Rows and columns of a map."""


class Tracer(TorchDispatchMode):
    """Follows receptive fields through every operation that runs inside the ``with`` block.

    Args:
        state: the network's tensors by name; convolutions are named after their weights.
    """

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.rows: dict[str, Axes] = {}
        self._names = {id(t): name.removeprefix("backbone.").removesuffix(".weight") for name, t in state.items()}
        self._held: dict[int, tuple[Tensor, Axes]] = {}  # a tensor that were let go could leave its id to another
        self._last = "the input"

    def put(self, tensor: Tensor, axes: Axes) -> None:
        """Sets what the cells of a tensor see."""
        self._held[id(tensor)] = (tensor, axes)

    def of(self, tensor: Tensor) -> Axes:
        """What the cells of a tensor see; the tensor is the result of an operation."""
        return self._held[id(tensor)][1]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        known = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor) and id(t) in self._held]
        if known:
            axes = self._windows(func, args, out) or self._cell_by_cell(func, known, out)
            for tensor in tree_leaves(out):
                if isinstance(tensor, Tensor):
                    self.put(tensor, axes)
        return out

    def _windows(self, func: Any, args: Any, out: Any) -> Axes | None:
        """What the cells after a convolution or pooling see; None for any other operation."""
        if func is aten.convolution.default and not args[6]:
            self._last = self._names.get(id(args[1]), "a convolution")
            name, numbers = self._last, (args[1].shape[2:], args[3], args[4], args[5])
        elif func in (aten.max_pool2d_with_indices.default, aten.avg_pool2d.default):
            given = [*args[1:4], *[[]] * 3][:3]
            dilation = args[4] if func is aten.max_pool2d_with_indices.default and len(args) > 4 else [1]
            name, numbers = f"pool behind {self._last}", (given[0], given[1] or given[0], given[2] or [0], dilation)
        elif func is aten.constant_pad_nd.default and args[0].ndim == 4:
            left, _, top, _ = [*args[1], 0, 0, 0, 0][:4]
            rows, columns = self.of(args[0])
            return rows.windows(out.shape[2], 1, 1, top, 1), columns.windows(out.shape[3], 1, 1, left, 1)
        elif func in (aten._adaptive_avg_pool2d.default, aten.adaptive_max_pool2d.default):
            size = (out[0] if isinstance(out, tuple) else out).shape[-2:]
            rows, columns = self.of(args[0])
            return rows.bins(size[0]), columns.bins(size[1])
        else:
            return None
        size = (out[0] if isinstance(out, tuple) else out).shape[-2:]
        pairs = [[pair[i % len(pair)] for pair in numbers] for i in range(2)]
        rows, columns = (axis.windows(n, *own) for axis, n, own in zip(self.of(args[0]), size, pairs, strict=True))
        self.rows[name] = (rows, columns)
        return rows, columns

    def _cell_by_cell(self, func: Any, known: list[Tensor], out: Any) -> Axes:
        """What the cells see after an operation that keeps cells, or that sees all of them."""
        result = next(t for t in tree_leaves(out) if isinstance(t, Tensor))
        rows, columns = self.of(known[0])
        for other in known[1:]:
            more = self.of(other)
            rows, columns = rows.join(more[0]), columns.join(more[1])
        size = (len(rows.spans), len(columns.spans))
        if result.ndim == 4 and size in (tuple(result.shape[2:]), tuple(result.shape[1:3])):
            return rows, columns  # channels stand before the cells, or behind them
        if result.ndim == 2 and result.shape[0] == size[0] * size[1] > 1:
            return rows, columns  # a row of numbers for each cell, which products keep
        if result.ndim != 4 and result.numel() == known[0].numel() and func not in _MIXING:
            return rows, columns
        height, width = result.shape[2:] if result.ndim == 4 else (1, 1)
        return rows.whole(height), columns.whole(width)


_MIXING = (aten.mm.default, aten.addmm.default, aten.bmm.default)
"""Products that see all cells, also where they give as many numbers as they take."""
