"""Corrections of the usual mistakes in coordinates."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Correction = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""(N, 4) boxes of (N, 4) boxes, (N,) widths and (N,) heights of their images."""


def corrections() -> dict[str, Correction]:
    """The corrections that are tried, by a text that says how to repair the mistake."""
    found: dict[str, Correction] = {
        "x and y are swapped": lambda b, w, h: b[:, [1, 0, 3, 2]],
        "boxes are mirrored from left to right": lambda b, w, h: np.stack(
            [w - b[:, 2], b[:, 1], w - b[:, 0], b[:, 3]], 1
        ),
        "y counts from the bottom": lambda b, w, h: np.stack([b[:, 0], h - b[:, 3], b[:, 2], h - b[:, 1]], 1),
        "x, y, width, height were written where corners are read": lambda b, w, h: _corner_and_size(b),
        "corners were written where x, y, width, height are read": lambda b, w, h: np.concatenate(
            [b[:, :2], b[:, 2:] - b[:, :2]], 1
        ),
        "x and y are the centre": lambda b, w, h: b - np.tile((b[:, 2:] - b[:, :2]) / 2, 2),
        "centre, width, height were written where corners are read": lambda b, w, h: _centre_and_size(b),
    }
    for shift in (1.0, -1.0):
        for name, edges in (("all four edges", [1, 1, 1, 1]), ("x1 and y1", [1, 1, 0, 0]), ("x2 and y2", [0, 0, 1, 1])):
            found[f"{name} are off by one; add {shift:+g}"] = _shifted(shift * np.array(edges, float))
    for read, origin in (("", 0.0), (", counted from 1", 1.0)):
        unit = _scaled(lambda w, h: (w, h), origin)
        found[f"coordinates are from 0 to 1 of the image{read}"] = unit
        found[f"centre, width, height are from 0 to 1 of the image{read}"] = _then(unit, origin)
    found["coordinates are from 0 to 1000 of the image"] = _scaled(lambda w, h: (w / 1000, h / 1000))
    for factor in (2.0, 0.5, 16.0, 1 / 16):
        found[f"coordinates must be multiplied by {factor:g}"] = _scaled(lambda w, h, f=factor: (f + 0 * w, f + 0 * h))
    for side in (224, 227, 300, 320, 416, 448, 512, 608, 640, 800, 1024):
        found[f"coordinates are of images resized to {side}x{side}"] = _scaled(lambda w, h, s=side: (w / s, h / s))
    for side in (600, 800):
        found[f"coordinates are of images with a shorter side of {side}"] = _scaled(
            lambda w, h, s=side: (np.minimum(w, h) / s,) * 2
        )
    for side in (416, 512, 640, 1000, 1024, 1333):
        found[f"coordinates are of images with a longer side of {side}"] = _scaled(
            lambda w, h, s=side: (np.maximum(w, h) / s,) * 2
        )
    return found


def _shifted(by: np.ndarray) -> Correction:
    return lambda b, w, h: b + by


def _scaled(factors: Callable[..., tuple[np.ndarray, np.ndarray]], origin: float = 0.0) -> Correction:
    """Scales boxes whose x1 and y1 lie ``origin`` too low, since they were read as pixels from 1."""

    def correct(boxes: np.ndarray, width: np.ndarray, height: np.ndarray) -> np.ndarray:
        x, y = factors(width, height)
        return (boxes + np.array([origin, origin, 0, 0])) * np.stack([x, y, x, y], 1)

    return correct


def _then(unit: Correction, origin: float) -> Correction:
    """Scaled boxes of centre, width and height: where corners are read (pixels from 1), else where x, y, w, h are."""
    if origin:
        return lambda b, w, h: _centre_and_size(unit(b, w, h))
    return lambda b, w, h: (scaled := unit(b, w, h)) - np.tile((scaled[:, 2:] - scaled[:, :2]) / 2, 2)


def _corner_and_size(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)


def _centre_and_size(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], 1)
