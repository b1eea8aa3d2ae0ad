"""Network passes of one shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from detkit.backbones.base import Backbone


def in_passes(run: Callable[..., dict[str, Tensor]], columns: Sequence[Tensor], pad_to: int) -> dict[str, Tensor]:
    """Runs N rows through a network in passes of ``pad_to`` rows and joins the results.

    The last pass is padded with zero rows, so that every pass has one shape. Compiled networks are then not compiled
    again, and the result of a row does not depend on the number of rows.

    Args:
        run: takes rows of each column and returns named tensors of as many rows.
        columns: tensors of N rows each, N at least 1.
        pad_to: rows of a pass; 0 runs all N at once.

    Returns:
        The named tensors of all N rows, float32 for any dtype of the network.
    """
    num_rows = len(columns[0])
    step = pad_to or num_rows
    parts: list[dict[str, Tensor]] = []
    for start in range(0, num_rows, step):
        chunk = [c[start : start + step] for c in columns]
        count = len(chunk[0])
        result = run(*(_fill(c, step - count) for c in chunk))
        parts.append({name: rows[:count].float() for name, rows in result.items()})
    return {name: torch.cat([p[name] for p in parts]) for name in parts[0]}


def no_rows(backbone: Backbone, layers: Sequence[str]) -> dict[str, Tensor]:
    """The named layers for 0 regions."""
    return {name: torch.zeros(0, backbone.layers[name].dim, device=device_of(backbone)) for name in layers}


def device_of(backbone: Backbone) -> torch.device:
    """The device of the backbone's parameters."""
    return next(backbone.parameters()).device


def _fill(rows: Tensor, missing: int) -> Tensor:
    """The rows and ``missing`` zero rows behind them."""
    return F.pad(rows, (0, 0) * (rows.ndim - 1) + (0, missing)) if missing else rows
