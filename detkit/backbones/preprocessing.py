"""How pixels become a network's input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Preprocessing:
    """Channel order, range, mean and deviation that a set of weights was trained with.

    Args:
        order: "RGB" or "BGR".
        scale: factor on 0..255 pixels before the mean is taken off; 1/255 for torchvision's weights.
        mean: (3,) or (3, S, S) float32, in ``order`` and after ``scale``.
        std: (3,) float32.
    """

    order: Literal["RGB", "BGR"]
    scale: float
    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, order: Literal["RGB", "BGR"], scale: float, mean: object, std: object) -> Preprocessing:
        """Preprocessing from plain numbers or arrays."""
        return cls(order, scale, *(torch.as_tensor(np.asarray(v, dtype=np.float32)) for v in (mean, std)))

    def __call__(self, pixels: Tensor, valid: Tensor | None = None) -> Tensor:
        """Network input (N, 3, H, W) float32 of pixels.

        Args:
            pixels: (N, H, W, 3) RGB, uint8 or float32 in 0..255.
            valid: (N, 4) integer rectangles (x1, y1, x2, y2), exclusive: outside them the input is 0, which is what
                a pixel of the mean gives. None: every pixel counts.
        """
        x = pixels.permute(0, 3, 1, 2)
        if self.order == "BGR":
            x = x.flip(1)
        mean = self.mean if self.mean.ndim == 3 else self.mean[:, None, None]
        x = (x.float() * self.scale - mean.to(x.device)) / self.std[:, None, None].to(x.device)
        if valid is not None:
            x = x * _inside(valid.to(x.device), x.shape[-2:])
        return x

    def without_position(self) -> Preprocessing:
        """The same with one mean colour, for images of any size; a mean image is averaged over its pixels."""
        mean = self.mean if self.mean.ndim == 1 else self.mean.mean((1, 2))
        return Preprocessing(self.order, self.scale, mean, self.std)


def _inside(valid: Tensor, size: torch.Size) -> Tensor:
    """(N, 1, H, W) mask of the rectangles."""
    ys = torch.arange(size[0], device=valid.device)
    xs = torch.arange(size[1], device=valid.device)
    x1, y1, x2, y2 = (v[:, None] for v in valid.unbind(1))
    rows = (ys >= y1) & (ys < y2)
    cols = (xs >= x1) & (xs < x2)
    return rows[:, None, :, None] & cols[:, None, None, :]
