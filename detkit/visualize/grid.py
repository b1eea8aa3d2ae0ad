"""Several pictures of a run on one sheet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from detkit.structures import Annotations, Boxes, Detections
from detkit.visualize.draw import draw_detections
from detkit.visualize.labels import Labels

GAP = 6


def picture_grid(
    images: Sequence[np.ndarray],
    detections: Sequence[Detections],
    class_names: Sequence[str],
    *,
    truths: Sequence[Annotations | None] | None = None,
    columns: int = 4,
    cell: int = 320,
    min_score: float = 0.0,
    most: int = 8,
) -> np.ndarray:
    """Images with their detections, row by row on white.

    Args:
        images: N arrays (H, W, 3) uint8 RGB, of any size.
        detections: detections of each image.
        class_names: the K classes.
        truths: the ground truths of each image, in green.
        columns: number of pictures in a row.
        cell: longer side of a picture in pixels; images are scaled to it before boxes and names are drawn.
        min_score: detections with a lower score are left out.
        most: maximal number of detections of a picture; the best are drawn.

    Returns:
        (H, W, 3) uint8 RGB; a single white cell for no images.
    """
    known = [None] * len(images) if truths is None else truths
    labels = Labels.of(class_names)
    pictures = [
        thumbnail(image, found, labels, truths=truth, side=cell, min_score=min_score, most=most)
        for image, found, truth in zip(images, detections, known, strict=True)
    ]
    return sheet(pictures, columns, cell)


def thumbnail(
    image: np.ndarray,
    detections: Detections,
    labels: Labels,
    *,
    truths: Annotations | None = None,
    side: int = 320,
    min_score: float = 0.0,
    most: int = 8,
) -> np.ndarray:
    """One image with its detections, scaled so that its longer side has ``side`` pixels.

    The image is scaled before boxes and names are drawn, so lines and names have one size in all pictures.

    Args:
        image: (H, W, 3) uint8 RGB.
        detections: its detections.
        labels: labels of the K classes.
        truths: its ground truths, in green.
        side: longer side in pixels.
        min_score: detections with a lower score are left out.
        most: maximal number of detections; the best are drawn.

    Returns:
        (h, w, 3) uint8 RGB.
    """
    scale = side / max(image.shape[:2])
    size = tuple(max(1, round(length * scale)) for length in image.shape[1::-1])
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    x, y = size[0] / image.shape[1], size[1] / image.shape[0]
    boxes = _scaled(detections.boxes, x, y)
    found = Detections(boxes, detections.scores, detections.labels, detections.proposal_rows)
    if truths is not None:
        truths = replace(truths, boxes=_scaled(truths.boxes, x, y))
    return draw_detections(small, found, labels, truths=truths, min_score=min_score, most=most)


def _scaled(boxes: Boxes, x: float, y: float) -> Boxes:
    return Boxes(boxes.tensor * boxes.tensor.new_tensor([x, y, x, y]))


def sheet(pictures: Sequence[np.ndarray], columns: int, cell: int) -> np.ndarray:
    """Pictures centred in cells on one sheet; a row is as high as its highest picture."""
    rows = [pictures[i : i + columns] for i in range(0, len(pictures), columns)] or [[]]
    width = max(map(len, rows), default=1) or 1
    bands = []
    for row in rows:
        height = max((p.shape[0] for p in row), default=cell)
        band = np.full((height + GAP, width * (cell + GAP) + GAP, 3), 255, np.uint8)
        for column, picture in enumerate(row):
            top = (height - picture.shape[0]) // 2
            left = GAP + column * (cell + GAP) + (cell - picture.shape[1]) // 2
            band[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
        bands.append(band)
    return np.concatenate([np.full((GAP, bands[0].shape[1], 3), 255, np.uint8), *bands])
