"""The warp of ``warp_crops``, computed on the device of the network."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

TOGETHER = 64
"""Crops that are resized at once: each takes about 4 MB meanwhile."""


def warp_on_device(
    image: Tensor, clips: Tensor, places: Tensor, flips: Tensor, size: int, pixels: Literal["uint8", "float32"]
) -> Tensor:
    """Cuts, resizes and places n regions as ``warp_crops`` does: bilinear, half-pixel centres, the border repeated.

    OpenCV rounds its weights to 1/2048, so uint8 values may differ from OpenCV's by one.

    Args:
        image: (H, W, 3) uint8 RGB.
        clips: (n, 4) integer rectangles of the image, x2 and y2 exclusive; one without area gives a crop of 0.
        places: (n, 4) integer rectangles of the crop that the clips are resized to.
        flips: (n,) bool, clips to mirror.
        size: side of the crop.
        pixels: "uint8" rounds to whole grey levels.

    Returns:
        (n, size, size, 3) of the dtype ``pixels``, on the device of ``image``.
    """
    colours = image.reshape(-1, 3).float()
    parts = [torch.zeros(0, size, size, 3, dtype=getattr(torch, pixels), device=image.device)]
    for clip, place, flip in zip(*(t.to(image.device).split(TOGETHER) for t in (clips, places, flips)), strict=True):
        left, right, across, in_x = _axis(clip[:, 0::2], place[:, 0::2], flip, size, image.shape[1])
        top, bottom, down, in_y = _axis(clip[:, 1::2], place[:, 1::2], torch.zeros_like(flip), size, image.shape[0])
        upper, lower = (
            torch.lerp(colours[y[:, :, None] + left[:, None]], colours[y[:, :, None] + right[:, None]], across[:, None])
            for y in (top * image.shape[1], bottom * image.shape[1])
        )
        crops = torch.lerp(upper, lower, down[:, :, None]) * (in_y[:, :, None] & in_x[:, None])[..., None]
        parts.append((crops + 0.5).floor().to(torch.uint8) if pixels == "uint8" else crops)
    return torch.cat(parts)


def _axis(clip: Tensor, place: Tensor, flip: Tensor, size: int, length: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Where the pixels of a crop come from, along one axis.

    Args:
        clip: (n, 2) first pixel of the clip and the one behind its last, in the image.
        place: (n, 2) the same of its place in the crop.
        flip: (n,) bool.
        size: side of the crop.
        length: side of the image.

    Returns:
        (n, size) int64 lower and upper source pixel; (n, size, 1) float32 weight of the upper one; (n, size) bool,
        whether the pixel has a source.
    """
    at = torch.arange(size, device=clip.device)
    inside = (at >= place[:, :1]) & (at < place[:, 1:]) & (clip[:, :1] < clip[:, 1:])
    # In double precision: single precision has no 1/2048 of a pixel left at the far side of a large image.
    step = at.double() - place[:, :1]
    extent = (place[:, 1:] - place[:, :1]).clamp(min=1)
    step = torch.where(flip[:, None], extent - 1 - step, step)
    sides = clip[:, 1:] - clip[:, :1]
    source = ((step + 0.5) * sides / extent - 0.5).clamp(min=0)
    source = torch.minimum(source, (sides - 1).clamp(min=0).double())
    low = source.floor()
    first = (clip[:, :1] + low.long()).clamp(0, length - 1)
    return first, (first + 1).clamp(max=length - 1), (source - low).float()[..., None], inside
