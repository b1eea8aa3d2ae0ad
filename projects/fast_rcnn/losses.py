"""The loss of boxes."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def smooth_l1(found: Tensor, goals: Tensor, sigma: float) -> Tensor:
    """() sum of f over the differences: f(x) = (sigma x)^2 / 2 where |x| < 1 / sigma^2, else |x| - 1 / (2 sigma^2).

    Source: Fast R-CNN, eq. 3 (sigma 1); its code for sigma.
    """
    return F.smooth_l1_loss(found, goals, reduction="sum", beta=sigma**-2)
