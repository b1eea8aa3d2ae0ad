"""The only image decoder."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from detkit.config.ranges import Range
from detkit.data.exif import upright_pixels
from detkit.data.image_header import HeaderError, header_size
from detkit.data.tiff import as_stored
from detkit.errors import DataError
from detkit.structures import Sample
from detkit.system.reading import MIB, bounded_bytes

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")
MAX_BYTES = 1024 * MIB
MAX_MEGAPIXELS = 200
Megapixels = Range(f"greater than 0, at most {MAX_MEGAPIXELS}", low=0, high=MAX_MEGAPIXELS, open_low=True)
"""What a data set may set its own limit to."""


def read_image(path: Path | str) -> np.ndarray:
    """The pixels of an image file, as they are stored.

    Grey and CMYK images and palettes are converted to RGB, alpha is dropped, and 16 bits are scaled to 8. EXIF's
    orientation is not applied, because VOC and COCO boxes refer to the stored pixels. Of a TIFF file it reads the first
    page.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        DataError: if the file is missing, is no image, is truncated or broken, or is larger than MAX_MEGAPIXELS or
            MAX_BYTES.
    """
    return decode_image(image_bytes(path), path)


def sample_image(sample: Sample) -> np.ndarray:
    """The pixels of an image of a data set, as ``read_image`` returns them, but turned as the data set says.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        DataError: as for ``read_image``.
    """
    return upright_pixels(read_image(sample.path), sample.orientation)


def image_size(path: Path | str) -> tuple[int, int]:
    """The (height, width) of an image file from its header, without decoding.

    Raises:
        DataError: if the file is missing, is no image, is truncated, or is larger than MAX_MEGAPIXELS or MAX_BYTES.
    """
    return _checked_size(image_bytes(path), path)


def image_bytes(path: Path | str) -> bytes:
    """The bytes of an image file.

    Raises:
        DataError: if the file is missing or cannot be read.
    """
    try:
        return bounded_bytes(Path(path), MAX_BYTES)
    except OSError as error:
        raise DataError(f"{path}: cannot read the image: {error.strerror or error}") from None


def decode_image(data: bytes, path: Path | str, max_megapixels: float = MAX_MEGAPIXELS) -> np.ndarray:
    """``read_image`` for the bytes of a file; ``path`` is for messages."""
    height, width = _checked_size(data, path, max_megapixels)
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(as_stored(data), np.uint8), flags)
    except cv2.error:
        image = None
    if image is None:
        raise DataError(f"{path}: the image is broken: its {width}x{height} pixels cannot be decoded")
    if image.shape[:2] != (height, width):
        raise DataError(
            f"{path}: the image is broken: {image.shape[1]}x{image.shape[0]} pixels decoded, {width}x{height} announced"
        )
    return image


def _checked_size(data: bytes, path: Path | str, max_megapixels: float = MAX_MEGAPIXELS) -> tuple[int, int]:
    try:
        height, width = header_size(data)
    except HeaderError as error:
        raise DataError(f"{path}: cannot read the image: {error}") from None
    if too_large := refusal_of_size((height, width), path, max_megapixels):
        raise too_large
    return height, width


def refusal_of_size(size: tuple[int, int], path: Path | str, most: float) -> DataError | None:
    """The error for an image of (height, width) that has more than ``most`` million pixels, or None."""
    height, width = size
    if height * width <= most * 1e6:
        return None
    return DataError(f"{path}: {width}x{height} pixels, at most {most:g} million are read")
