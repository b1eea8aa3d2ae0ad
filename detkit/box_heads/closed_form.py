"""Ridge regression in closed form."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import Literal

import torch
from torch import Tensor


def solve_ridge(
    parts: Iterable[Tensor], targets: Tensor, alpha: float, form: Literal["auto", "primal", "dual"] = "auto"
) -> Tensor:
    """The (D, T) float64 coefficients that minimise |X beta - Y|^2 + alpha |beta|^2, by Cholesky.

    The primal form solves for D unknowns and holds one part of X at a time. The dual form solves for n unknowns and
    holds all of X as float32.

    Args:
        parts: X, (n, D) float32, in parts of some rows each; n is at least 1.
        targets: Y, (n, T) float64.
        alpha: weight of the norm, greater than 0.
        form: "auto" solves the smaller system.
    """
    parts = iter(parts)
    first = next(parts)
    dim = first.shape[1]
    if form == "auto":
        form = "primal" if len(targets) > dim else "dual"
    parts = chain([first], parts)
    return _primal(parts, dim, targets, alpha) if form == "primal" else _dual(parts, targets, alpha)


def _primal(parts: Iterable[Tensor], dim: int, targets: Tensor, alpha: float) -> Tensor:
    """(X'X + alpha I)^-1 X'Y."""
    gram = alpha * torch.eye(dim, dtype=torch.float64)
    moments = torch.zeros(dim, targets.shape[1], dtype=torch.float64)
    start = 0
    for part in parts:
        rows = part.double()
        gram.addmm_(rows.T, rows)
        moments.addmm_(rows.T, targets[start : start + len(rows)])
        start += len(rows)
    return torch.cholesky_solve(moments, torch.linalg.cholesky(gram))


def _dual(parts: Iterable[Tensor], targets: Tensor, alpha: float) -> Tensor:
    """X'(XX' + alpha I)^-1 Y."""
    features = torch.cat(list(parts))
    columns = features.split(1024, dim=1)
    gram = alpha * torch.eye(len(features), dtype=torch.float64)
    for part in columns:
        gram.addmm_(part.double(), part.double().T)
    weights = torch.cholesky_solve(targets, torch.linalg.cholesky(gram))
    return torch.cat([part.double().T @ weights for part in columns])
