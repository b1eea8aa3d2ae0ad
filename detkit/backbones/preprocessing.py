"""The conversion of pixels to a network's input."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from detkit.backbones.pieces import pieces


@dataclass(frozen=True, eq=False)
class Preprocessing:
    """Channel order, range, mean and deviation that a set of weights was trained with.

    Args:
        order: "RGB" or "BGR".
        scale: factor on pixels of 0..255 before the mean is subtracted; 1/255 for torchvision's weights.
        mean: (3,) or (3, S, S) float32, in ``order`` and after ``scale``.
        std: (3,) float32.
        dtype: dtype of the input; it is computed in float32 and rounded once.
    """

    order: Literal["RGB", "BGR"]
    scale: float
    mean: Tensor
    std: Tensor
    dtype: torch.dtype = torch.float32

    @classmethod
    def of(cls, order: Literal["RGB", "BGR"], scale: float, mean: object, std: object) -> Preprocessing:
        """Preprocessing from numbers or arrays."""
        mean, std = (torch.as_tensor(np.asarray(v, dtype=np.float32)) for v in (mean, std))
        return cls(order, scale, mean, std)

    def __call__(self, pixels: Tensor, valid: Tensor | None = None) -> Tensor:
        """Network input (N, 3, H, W) of the dtype ``dtype``, in channels-last memory.

        Args:
            pixels: (N, H, W, 3) RGB, uint8 or float32 in 0..255.
            valid: (N, 4) integer rectangles (x1, y1, x2, y2), x2 and y2 exclusive. Outside its rectangle the input is
                0, as for a pixel of the mean colour. None uses every pixel.
        """
        height, width = pixels.shape[1:3]
        # A row's pixels lie in one line, so that no inner loop is as short as the three channels.
        lines = (-1, height, 3 * width)
        mean = self.mean.permute(1, 2, 0).reshape(height, -1) if self.mean.ndim == 3 else self.mean.repeat(width)
        mean, std = (v.to(pixels.device) for v in (mean, self.std.repeat(width)))
        if self.order == "BGR":
            pixels = pixels.flip(-1)
        out = torch.empty(pixels.shape, dtype=self.dtype, device=pixels.device)
        for few in pieces(pixels):
            x = (pixels[few].reshape(lines) * self.scale - mean) / std
            if valid is not None:
                rows, columns = _inside(valid[few].to(x.device), (height, width))
                x = x * rows[:, :, None] * columns.repeat_interleave(3, 1)[:, None]
            out[few].view(lines)[:] = x
        return out.permute(0, 3, 1, 2)

    def without_position(self) -> Preprocessing:
        """The same with one mean colour, the average of a mean image over its pixels, for images of any size."""
        mean = self.mean if self.mean.ndim == 1 else self.mean.mean((1, 2))
        return replace(self, mean=mean)


def _inside(valid: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """(N, H) rows and (N, W) columns that the rectangles cover."""
    x1, y1, x2, y2 = (v[:, None] for v in valid.unbind(1))
    ys, xs = (torch.arange(length, device=valid.device) for length in size)
    return (ys >= y1) & (ys < y2), (xs >= x1) & (xs < x2)
