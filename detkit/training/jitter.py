"""Small random changes of regions and colours in each step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from detkit.structures import Boxes

GREY = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue in a grey level. Source: ITU-R BT.601."""


@dataclass(frozen=True)
class Jitter:
    """How much the examples of a step are changed at random.

    Args:
        boxes: maximal shift of an edge, as a share of the box's side; a region keeps its label.
        colours: maximal change of brightness, contrast and saturation of an image, as a share.
    """

    boxes: float = 0.0
    colours: float = 0.0

    def moves(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """(count, 4) random shifts of edges, as shares of a side."""
        return rng.uniform(-self.boxes, self.boxes, (count, 4))

    def factors(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """(count, 3) random factors of brightness, contrast and saturation."""
        return rng.uniform(1 - self.colours, 1 + self.colours, (count, 3))


def moved(boxes: Boxes, moves: np.ndarray, size: tuple[int, int]) -> Boxes:
    """N boxes whose edges are moved by (N, 4) shares of their sides and clipped to an image of (height, width).

    A box of which less than a pixel would be left does not move.
    """
    corners = boxes.numpy().astype(np.float64)
    sides = np.tile(corners[:, 2:] - corners[:, :2], 2)
    limit = np.array([size[1], size[0]] * 2)
    found = (corners + moves * sides).clip(0, limit)
    is_whole = (found[:, 2:] - found[:, :2] >= 1).all(1, keepdims=True)
    return Boxes.of(np.where(is_whole, found, corners))


def coloured(image: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """An (H, W, 3) uint8 image with other brightness, contrast and saturation.

    Args:
        image: RGB.
        factors: (3,) factors of these; 1 changes nothing.
    """
    brightness, contrast, saturation = factors.astype(np.float32)
    pixels = image.astype(np.float32) * brightness
    grey = pixels @ GREY
    pixels = grey[..., None] + (pixels - grey[..., None]) * saturation
    mean = grey.mean()
    return (mean + (pixels - mean) * contrast).round().clip(0, 255).astype(np.uint8)
