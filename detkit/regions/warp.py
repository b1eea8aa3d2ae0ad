"""The warp of a region to the square crop that the network sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np


@dataclass(frozen=True, eq=False)
class WarpWindows:
    """The warps of n regions of one image. Rectangles are (x1, y1, x2, y2) in whole pixels, x2 and y2 exclusive.

    Args:
        window: (n, 4) int64, the region with its context; it may reach beyond the image.
        clip: (n, 4) int64, the part of the window whose pixels are used; it may be empty.
        place: (n, 4) int64, the rectangle of the crop to which the clip is resized.
        mirrored_place: (n, 4) int64, the same rectangle in the mirrored crop.
    """

    window: np.ndarray
    clip: np.ndarray
    place: np.ndarray
    mirrored_place: np.ndarray

    def placed(self, flips: np.ndarray) -> np.ndarray:
        """(n, 4) int64: ``mirrored_place`` where (n,) ``flips`` is True, else ``place``."""
        return np.where(np.asarray(flips, bool)[:, None], self.mirrored_place, self.place)


def warp_windows(
    boxes: np.ndarray,
    image_size: tuple[int, int],
    size: int = 227,
    padding: int = 16,
    mode: Literal["warp", "square"] = "warp",
    context: bool = True,
) -> WarpWindows:
    """The warps of R-CNN's released feature extraction, with the same rounding at every step.

    The reference is rcnn_im_crop.m: double precision, pixels counted from 1, a window's scale rounded before the
    multiplication, halves rounded away from zero. A result near a half depends on each of these, so this function takes
    the same steps.

    Caffe's window layer cut the crops of fine-tuning. It has the same formulas, but in single precision and with pixels
    counted from 0, so its result can differ where a number is a half. The reference has no mode without context.

    Source: R-CNN, appendix A; rcnn_im_crop.m.

    Args:
        boxes: (n, 4) x1, y1, x2, y2 in pixels of the image; fractions are allowed.
        image_size: (height, width) of the image.
        size: side of the crop.
        padding: pixels of context on each side of the region in the crop; less than half of ``size``.
        mode: "warp" stretches the region to the crop; "square" takes the smallest square around it.
        context: False uses only pixels of the region itself; the rest of the crop is the mean.

    Example:
        >>> windows = warp_windows([[40, 30, 110, 90]], (120, 160))
        >>> windows.window.tolist()  # the region with its context
        [[34, 25, 117, 96]]
    """
    box = np.asarray(boxes, np.float64).reshape(-1, 4)
    own_low, own_high = _own_pixels(box)
    if mode == "warp" and padding == 0:
        low, high = own_low, own_high
    else:
        first, last = box[:, :2] + 1, box[:, 2:]
        half = (last - first + 1) / 2
        centre = first + half
        reach = (half if mode == "warp" else half.max(1, keepdims=True)) * (size / (size - 2 * padding))
        # The last pixel is rounded, not the edge behind it: the window is up to a pixel wider than twice its reach.
        low, high = _round(centre - reach) - 1, _round(centre + reach)

    clip_low, clip_high = np.maximum(low, 0), np.minimum(high, [image_size[1], image_size[0]])
    if not context:
        clip_low, clip_high = np.maximum(clip_low, own_low), np.minimum(clip_high, own_high)
    clip_high = np.maximum(clip_high, clip_low)

    scale = size / (high - low)
    extent, start = _round((clip_high - clip_low) * scale), _round((clip_low - low) * scale)
    mirrored_start = np.stack([_round((high - clip_high) * scale)[:, 0], start[:, 1]], 1)
    return WarpWindows(
        window=np.hstack([low, high]),
        clip=np.hstack([clip_low, clip_high]),
        place=np.hstack([start, np.minimum(start + extent, size)]),
        mirrored_place=np.hstack([mirrored_start, np.minimum(mirrored_start + extent, size)]),
    )


def warp_crops(
    image: np.ndarray,
    windows: WarpWindows,
    flips: np.ndarray,
    size: int = 227,
    pixels: Literal["uint8", "float32"] = "uint8",
) -> tuple[np.ndarray, np.ndarray]:
    """Cuts, resizes and places n regions: bilinear, half-pixel centres, no antialiasing, the border repeated.

    Args:
        image: (H, W, 3) uint8 RGB.
        windows: the warps of n regions of this image.
        flips: (n,) bool, regions to mirror.
        size: side of the crop, as given to ``warp_windows``.
        pixels: "uint8" rounds to whole grey levels, as Caffe does; "float32" keeps fractions, as MATLAB does.

    Returns:
        (n, size, size, 3) crops of the dtype ``pixels``, 0 outside the image's pixels; and (n, 4) int16 rectangles of
        the real pixels in the crops.
    """
    place = windows.placed(flips)
    crops = np.zeros((len(place), size, size, 3), pixels)
    for crop, flip, (x1, y1, x2, y2), (left, top, right, bottom) in zip(
        crops, flips, windows.clip.tolist(), place.tolist(), strict=True
    ):
        if x1 < x2 and y1 < y2 and left < right and top < bottom:
            clip = image[y1:y2, x1:x2].astype(pixels, copy=False)
            resized = cv2.resize(clip, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
            crop[top:bottom, left:right] = resized[:, ::-1] if flip else resized
    return crops, place.astype(np.int16)


def _own_pixels(box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, 2) first and one-past-last pixel of each box, at least one pixel."""
    low = _round(box[:, :2])
    return low, np.maximum(_round(box[:, 2:]), low + 1)


def _round(values: np.ndarray) -> np.ndarray:
    """Whole numbers, halves away from zero (numpy's own rounding takes them to the even number)."""
    whole = np.trunc(values)
    return (whole + np.sign(values) * (np.abs(values - whole) >= 0.5)).astype(np.int64)
