"""Drawn scenes: shapes on textured ground, for demonstrations and tests."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

SHAPES = ("cross", "disc", "square", "triangle")
# Longer side of a shape as a share of the scene's shorter side; drawn log-uniformly.
SCALES = (0.24, 0.62)
# Light comes from the upper left: each shape has a shaded band along its lower right sides, as a share of its length,
# and throws a soft shadow beyond them. The band is a part of the shape and of its box, the shadow is not. Proposals
# that miss the one or take in the other are what a box regressor can put right.
BANDS = (0.14, 0.24)
BAND_SHADES = (0.45, 0.7)
"""What the band keeps of the shape's colour."""
SHADOW_STEPS = (0.12, 0.24)
"""How far a shadow falls, as a share of the shape's length."""
SHADOW_SHADES = (0.35, 0.6)
"""What a shadow leaves of the light."""
SOFTNESS = 0.035
"""Standard deviation of the blur of band and shadow, as a share of the shape's length."""
LEAST_VISIBLE = 0.65
_SHIFT = 4  # outlines are drawn in sixteenths of a pixel


@dataclass(frozen=True)
class Scene:
    """A drawn image and its shapes.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        boxes: for each shape x1, y1, x2, y2 around its visible pixels, x2 and y2 exclusive.
        labels: for each shape its position in SHAPES.
    """

    pixels: np.ndarray
    boxes: list[list[int]]
    labels: list[int]


@dataclass(frozen=True)
class _Masks:
    """Where a shape, the lit part of it and its shadow lie: (H, W) float32 shares of each pixel, 0..1."""

    shape: np.ndarray
    lit: np.ndarray
    shadow: np.ndarray


def draw_scene(rng: np.random.Generator, size: tuple[int, int], num_shapes: int) -> Scene:
    """Shapes of any colour on a textured background, with distracting lines and blobs and some occlusion.

    At least LEAST_VISIBLE of each shape's area is visible. If there is no room, the scene has fewer shapes.

    Args:
        rng: the only randomness.
        size: (height, width) in pixels.
        num_shapes: number of shapes; 0 draws background, lines and blobs only.
    """
    canvas = _ground(rng, size)
    for _ in range(rng.integers(2, 5)):
        _paint(canvas, _mask(_blob(rng, size), size), _colour(rng))
    for _ in range(rng.integers(1, 4)):
        _paint(canvas, _line(rng, size), _colour(rng))
    owner = np.full(size, -1)
    labels: list[int] = []
    areas: list[int] = []
    for _ in range(num_shapes):
        label = int(rng.integers(len(SHAPES)))
        masks = _place(rng, SHAPES[label], size, owner, areas)
        if masks is None:
            break
        _paint_shape(rng, canvas, masks)
        owner[masks.shape >= 0.5] = len(labels)
        areas.append(int((masks.shape >= 0.5).sum()))
        labels.append(label)
    noise = rng.uniform(2, 6) * rng.standard_normal(canvas.shape, np.float32)
    pixels = np.clip(np.rint(canvas + noise), 0, 255).astype(np.uint8)
    return Scene(pixels, [_tight_box(owner == n) for n in range(len(labels))], labels)


def draw_framed(rng: np.random.Generator, size: tuple[int, int]) -> Scene:
    """One shape that nearly fills the image: a scene of ``size`` cut to its shape and up to a sixth around it."""
    scene = draw_scene(rng, size, 1)
    x1, y1, x2, y2 = scene.boxes[0]
    left, right = rng.uniform(0, 1 / 6, 2) * (x2 - x1)
    top, bottom = rng.uniform(0, 1 / 6, 2) * (y2 - y1)
    west, north = max(int(x1 - left), 0), max(int(y1 - top), 0)
    pixels = scene.pixels[north : int(y2 + bottom), west : int(x2 + right)]
    return Scene(np.ascontiguousarray(pixels), [[x1 - west, y1 - north, x2 - west, y2 - north]], scene.labels)


def _ground(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """A gradient between two colours with soft noise and faint stripes, (H, W, 3) float32."""
    height, width = size
    y, x = (at / max(size) for at in np.indices(size, np.float32, sparse=True))
    angle = rng.uniform(0, 2 * np.pi)
    along = np.cos(angle) * x + np.sin(angle) * y
    first = _colour(rng)
    second = np.clip(first + rng.uniform(-60, 60, 3), 0, 255).astype(np.float32)
    share = (along - along.min()) / np.ptp(along)
    canvas = first + share[..., None] * (second - first)
    cells = rng.normal(0, rng.uniform(4, 14), rng.integers(4, 12, 2)).astype(np.float32)
    relief = cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC)
    stripes = np.sin(2 * np.pi * rng.uniform(4, 16) * (np.cos(2 * angle) * x + np.sin(2 * angle) * y))
    return (canvas + (relief + rng.uniform(0, 12) * stripes)[..., None]).astype(np.float32)


def _place(
    rng: np.random.Generator, shape: str, size: tuple[int, int], owner: np.ndarray, areas: list[int]
) -> _Masks | None:
    """A new shape, or None if there is no room.

    There is room if enough of every earlier shape stays visible.
    """
    for _ in range(30):
        length = min(size) * np.exp(rng.uniform(*np.log(SCALES)))
        aspect = np.exp(rng.uniform(-0.3, 0.3))
        extent = length * np.array([min(aspect, 1), 1 / max(aspect, 1)]) / 2
        # A centre this far inside cuts at most a tenth of the shape off at the border.
        centre = rng.uniform(0.8 * extent, np.array(size[::-1]) - 0.8 * extent)
        outline = _outline(shape, rng) * extent @ _rotation(rng.uniform(-0.35, 0.35)) + centre
        mask = _mask(outline, size)
        left = np.bincount(owner[(owner >= 0) & (mask < 0.5)], minlength=len(areas))
        if all(seen >= LEAST_VISIBLE * area for seen, area in zip(left, areas)):
            # Both lie inside or beyond the same outline, moved towards the light or away from it.
            lit, shadow = (
                cv2.GaussianBlur(_mask(outline + length * step, size), (0, 0), length * SOFTNESS)
                for step in (-rng.uniform(*BANDS), rng.uniform(*SHADOW_STEPS))
            )
            return _Masks(mask, lit, shadow)
    return None


def _outline(shape: str, rng: np.random.Generator) -> np.ndarray:
    """The corners of a shape in -1..1."""
    if shape == "disc":
        turn = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        return np.stack([np.cos(turn), np.sin(turn)], 1)
    if shape == "square":
        return np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], float)
    if shape == "triangle":
        return np.array([(0, -1), (1, 1), (-1, 1)], float)
    a = rng.uniform(0.3, 0.42)
    quarter = np.array([(a, -1), (a, -a), (1, -a)])
    return np.concatenate([quarter @ _rotation(turn * np.pi / 2) for turn in range(4)])


def _rotation(angle: float) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, sin], [-sin, cos]])


def _blob(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """A ragged, elongated outline."""
    turn = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    radius = min(size) * rng.uniform(0.05, 0.13) * rng.uniform(0.5, 1.3, 14)
    points = np.stack([2 * radius * np.cos(turn), radius * np.sin(turn)], 1)
    return points @ _rotation(rng.uniform(0, np.pi)) + rng.uniform((0, 0), size[::-1])


def _line(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """The mask of a thin line across the scene."""
    mask = np.zeros(size, np.uint8)
    first, second = _fixed_point(rng.uniform((0, 0), size[::-1], (2, 2))).tolist()
    cv2.line(mask, first, second, 255, int(rng.integers(1, 4)), cv2.LINE_AA, _SHIFT)
    return mask / np.float32(255)


def _mask(outline: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W) float32 share of each pixel that lies within the outline, 0..1."""
    mask = np.zeros(size, np.uint8)
    cv2.fillPoly(mask, [_fixed_point(outline)], 255, cv2.LINE_AA, _SHIFT)
    return mask / np.float32(255)


def _fixed_point(points: np.ndarray) -> np.ndarray:
    # OpenCV puts whole numbers at the centres of pixels.
    return np.rint((points - 0.5) * 2**_SHIFT).astype(np.int32)


def _paint_shape(rng: np.random.Generator, canvas: np.ndarray, masks: _Masks) -> None:
    """A shape of one colour, lit from the upper left, above its shadow."""
    under = canvas[masks.shape >= 0.5].mean(0)
    colour = _colour(rng)
    while np.abs(colour - under).sum() < 120:
        colour = _colour(rng)
    canvas *= 1 - masks.shadow[..., None] * np.float32(1 - rng.uniform(*SHADOW_SHADES))
    band = np.float32(rng.uniform(*BAND_SHADES))
    _paint(canvas, masks.shape, colour * (band + (1 - band) * masks.lit[..., None]))


def _paint(canvas: np.ndarray, mask: np.ndarray, colour: np.ndarray) -> None:
    canvas += mask[..., None] * (colour - canvas)


def _colour(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(20, 235, 3).astype(np.float32)


def _tight_box(visible: np.ndarray) -> list[int]:
    ys, xs = np.nonzero(visible)
    return [int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1]
