"""Drawn scenes: shapes on textured ground, for demonstrations and tests."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

SHAPES = ("cross", "disc", "square", "triangle")
# Longer side of a shape as a share of the scene's shorter side; drawn log-uniformly.
SCALES = (0.24, 0.62)
LEAST_VISIBLE = 0.65
_FINE = 4  # masks are drawn at this multiple and reduced, which smooths their edges


@dataclass(frozen=True)
class Scene:
    """A drawn image and what stands in it.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        boxes: for each shape x1, y1, x2, y2 around its visible pixels, x2 and y2 exclusive.
        labels: for each shape its position in SHAPES.
    """

    pixels: np.ndarray
    boxes: list[list[int]]
    labels: list[int]


def draw_scene(rng: np.random.Generator, size: tuple[int, int], num_shapes: int) -> Scene:
    """Shapes of any colour on textured ground, with shadows, lines and blobs that are no class, and some occlusion.

    Each shape keeps LEAST_VISIBLE of its area. Fewer shapes than asked stand where there is no room for more.

    Args:
        rng: everything is drawn from it.
        size: (height, width) in pixels.
        num_shapes: how many; 0 gives the ground and its clutter.
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
        outline = _place(rng, SHAPES[label], size, owner, areas)
        if outline is None:
            break
        mask = _mask(outline, size)
        _paint_shape(rng, canvas, mask, outline)
        owner[mask >= 0.5] = len(labels)
        areas.append(int((mask >= 0.5).sum()))
        labels.append(label)
    noise = rng.normal(0, rng.uniform(2, 6), canvas.shape)
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
    """A gradient between two colours with soft noise and faint stripes, (H, W, 3) float."""
    height, width = size
    y, x = np.mgrid[:height, :width] / max(size)
    angle = rng.uniform(0, 2 * np.pi)
    along = np.cos(angle) * x + np.sin(angle) * y
    first = _colour(rng)
    second = np.clip(first + rng.uniform(-60, 60, 3), 0, 255)
    share = (along - along.min()) / np.ptp(along)
    canvas = first + share[..., None] * (second - first)
    cells = rng.normal(0, rng.uniform(4, 14), (int(rng.integers(4, 12)), int(rng.integers(4, 12))))
    canvas += cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]
    stripes = np.sin(2 * np.pi * rng.uniform(4, 16) * (np.cos(2 * angle) * x + np.sin(2 * angle) * y))
    return canvas + rng.uniform(0, 12) * stripes[..., None]


def _place(
    rng: np.random.Generator, shape: str, size: tuple[int, int], owner: np.ndarray, areas: list[int]
) -> np.ndarray | None:
    """An outline that leaves enough to be seen of every shape that stands already, or None after some tries."""
    for _ in range(30):
        side = min(size) * np.exp(rng.uniform(*np.log(SCALES)))
        aspect = np.exp(rng.uniform(-0.3, 0.3))
        extent = np.array([side * min(aspect, 1), side / max(aspect, 1)]) / 2
        # A centre this far inside cuts at most a tenth of the shape off at the border.
        centre = rng.uniform(0.8 * extent, np.array(size[::-1]) - 0.8 * extent)
        outline = _outline(shape, rng) * extent @ _rotation(rng.uniform(-0.35, 0.35)) + centre
        covered = owner[_mask(outline, size) >= 0.5]
        hidden = np.bincount(covered[covered >= 0], minlength=len(areas))
        visible = np.bincount(owner[owner >= 0], minlength=len(areas)) - hidden
        if all(seen >= LEAST_VISIBLE * area for seen, area in zip(visible, areas)):
            return outline
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
    ends = rng.uniform((0, 0), size[::-1], (2, 2)) * _FINE
    mask = np.zeros((size[0] * _FINE, size[1] * _FINE), np.uint8)
    first, second = (tuple(int(c) for c in end) for end in ends)
    cv2.line(mask, first, second, 255, int(_FINE * rng.uniform(1, 3)))
    return _reduced(mask, size)


def _mask(outline: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W) share of each pixel that lies within the outline, 0..1."""
    mask = np.zeros((size[0] * _FINE, size[1] * _FINE), np.uint8)
    cv2.fillPoly(mask, [np.rint(outline * _FINE).astype(np.int32)], 255)
    return _reduced(mask, size)


def _reduced(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return cv2.resize(mask, size[::-1], interpolation=cv2.INTER_AREA).astype(np.float64) / 255


def _paint_shape(rng: np.random.Generator, canvas: np.ndarray, mask: np.ndarray, outline: np.ndarray) -> None:
    """A shape shaded from one colour to another, with a soft shadow to its lower right."""
    # The shadow has no part in the box: proposals that take it in are what a box regressor can put right.
    offset = 0.09 * float(np.ptp(outline, axis=0).max())
    shift = np.array([[1, 0, offset], [0, 1, offset]])
    shadow = cv2.GaussianBlur(cv2.warpAffine(mask, shift, mask.shape[::-1]), (0, 0), 1)
    canvas *= 1 - 0.55 * shadow[..., None]
    under = canvas[mask >= 0.5].mean(0)
    colour = _colour(rng)
    while np.abs(colour - under).sum() < 150:
        colour = _colour(rng)
    shade = np.linspace(1, rng.uniform(0.7, 1), mask.shape[0])[:, None, None]
    _paint(canvas, mask, colour * shade)


def _paint(canvas: np.ndarray, mask: np.ndarray, colour: np.ndarray) -> None:
    canvas += mask[..., None] * (colour - canvas)


def _colour(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(20, 235, 3)


def _tight_box(visible: np.ndarray) -> list[int]:
    ys, xs = np.nonzero(visible)
    return [int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1]
