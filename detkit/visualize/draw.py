"""Boxes drawn into an image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from detkit.structures import Annotations, Detections
from detkit.visualize.labels import Labels, class_color

TRUTH_COLOR = (0, 200, 0)


def draw_detections(
    image: np.ndarray,
    detections: Detections,
    class_names: Sequence[str] | Labels,
    *,
    truths: Annotations | None = None,
    min_score: float = -np.inf,
    most: int | None = None,
) -> np.ndarray:
    """A copy of an image with its detections, each in its class's colour with name and score.

    Args:
        image: (H, W, 3) uint8 RGB.
        detections: detections of the image; the best are drawn last, on top.
        class_names: the K classes, or ``Labels.of(class_names)``, which several pictures can share. A name that no
            installed font can draw is replaced by "class" and its number.
        truths: ground truths, drawn in green below the detections; those that need not be found have a thinner line.
        min_score: detections with a lower score are left out.
        most: maximal number of detections; the best are drawn.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    picture = Image.fromarray(image)
    canvas = ImageDraw.Draw(picture)
    labels = class_names if isinstance(class_names, Labels) else Labels.of(class_names)
    line = max(1, round(min(image.shape[:2]) / 120))
    if truths is not None:
        thin = truths.ignored.tolist()
        for box, is_thin in zip(truths.boxes.tensor.tolist(), thin):
            _rectangle(canvas, box, TRUTH_COLOR, 1 if is_thin else line + 1)
    best_first = detections.scores.argsort(descending=True, stable=True)
    shown = detections[best_first[detections.scores[best_first] >= min_score][:most].flip(0)]
    drawn = list(zip(shown.boxes.tensor.tolist(), shown.labels.tolist(), shown.scores.tolist()))
    for box, label, _ in drawn:
        _rectangle(canvas, box, class_color(label), line)
    font = labels.font(min(max(11, round(min(image.shape[:2]) / 22)), 40))
    for box, label, score in drawn:
        _tag(picture, box, f"{labels.names[label]} {score:.2f}", font, class_color(label))
    return np.asarray(picture).copy()


def _rectangle(canvas: ImageDraw.ImageDraw, box: list[float], color: tuple[int, int, int], line: int) -> None:
    """An outline over the pixels of an exclusive box; a box under one pixel is one pixel."""
    x1, y1 = round(box[0]), round(box[1])
    canvas.rectangle((x1, y1, max(x1, round(box[2]) - 1), max(y1, round(box[3]) - 1)), outline=color, width=line)


def _tag(
    picture: Image.Image, box: list[float], text: str, font: ImageFont.FreeTypeFont, color: tuple[int, int, int]
) -> None:
    """A filled label on the upper edge of a box; inside it where the image ends, and never beyond the image."""
    canvas = ImageDraw.Draw(picture)
    _, top, right, bottom = (round(side) for side in canvas.textbbox((0, 0), text, font=font))
    width, height = right + 4, bottom - top + 4
    x = min(max(0, round(box[0])), max(0, picture.width - width))
    y = round(box[1]) - height
    if y < 0:
        y = min(max(0, round(box[1])), max(0, picture.height - height))
    canvas.rectangle((x, y, x + width - 1, y + height - 1), fill=color)
    is_light = 0.299 * color[0] + 0.587 * color[1] + 0.114 * color[2] > 140
    canvas.text((x + 2, y + 2 - top), text, font=font, fill=(0, 0, 0) if is_light else (255, 255, 255))
