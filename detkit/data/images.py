"""The only image decoder."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from detkit.data.image_header import HeaderError, header_size
from detkit.errors import DataError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp")
MAX_PIXELS = 200_000_000


def read_image(path: Path | str) -> np.ndarray:
    """The pixels of an image file, as they are stored.

    Grey is replicated, a palette resolved, alpha dropped, 16 bits are scaled to 8 and CMYK is converted. The EXIF
    orientation is not applied: VOC and COCO boxes refer to the stored pixels.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        DataError: no such file, no image, truncated, broken, or of more than MAX_PIXELS pixels.
    """
    return decode_image(image_bytes(path), path)


def image_size(path: Path | str) -> tuple[int, int]:
    """The (height, width) of an image file from its header, without decoding.

    Raises:
        DataError: no such file, no image, truncated, or of more than MAX_PIXELS pixels.
    """
    return _checked_size(image_bytes(path), path)


def image_bytes(path: Path | str) -> bytes:
    """The encoded image.

    Raises:
        DataError: there is no such file, or it cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot read the image: {error.strerror or error}") from None


def decode_image(data: bytes, path: Path | str) -> np.ndarray:
    """As ``read_image``, from the bytes of the file; ``path`` names it in messages."""
    height, width = _checked_size(data, path)
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None:
        raise DataError(f"{path}: the image is broken: its {width}x{height} pixels cannot be decoded")
    if image.shape[:2] != (height, width):
        raise DataError(
            f"{path}: the image is broken: {image.shape[1]}x{image.shape[0]} pixels decoded, {width}x{height} announced"
        )
    return image


def _checked_size(data: bytes, path: Path | str) -> tuple[int, int]:
    try:
        height, width = header_size(data)
    except HeaderError as error:
        raise DataError(f"{path}: cannot read the image: {error}") from None
    if height * width > MAX_PIXELS:
        raise DataError(f"{path}: {width}x{height} pixels, at most {MAX_PIXELS // 10**6} million are read")
    return height, width
