"""Parts of images with boxes."""

from __future__ import annotations

from collections.abc import Sequence

from detkit.data.images import sample_image
from detkit.report.page.blocks import Picture
from detkit.structures import Boxes, Sample
from detkit.visualize import jpeg_bytes, outlined_crop
from detkit.visualize.palette import rgb


def crop(sample: Sample, outlines: Sequence[tuple[Sequence[float], str]], alt: str, lines: Sequence[str]) -> Picture:
    """The part of an image around boxes.

    Args:
        sample: the image.
        outlines: (box, its colour in the palette); at least one, later ones are on top.
        alt: a text that describes the picture.
        lines: short lines below it.

    Raises:
        DataError: if the image cannot be read.
    """
    drawn = outlined_crop(sample_image(sample), [(box, rgb(color)) for box, color in outlines])
    return Picture(jpeg_bytes(drawn), alt, lines)


def touching(sample: Sample, box: Sequence[float]) -> list[tuple[list[float], str]]:
    """The objects of an image that a box overlaps, as outlines in the ground truth's green."""
    if sample.annotations is None:
        return []
    boxes = sample.annotations.boxes
    near = boxes.tensor[Boxes.of([box]).iou(boxes)[0] > 0]
    return [(truth, "green") for truth in near.tolist()]
