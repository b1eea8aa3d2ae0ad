"""The size of an image, and whether its file is whole, without decoding it."""

from __future__ import annotations

import struct

from detkit.data.tiff import BITS, HEIGHT, MAGICS, WIDTH, end_of_pixels, tiff_tags

# Markers that stand alone in a JPEG file; every other marker is followed by the length of its segment.
_JPEG_BARE = {0x01, *range(0xD0, 0xD8)}
_JPEG_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


class HeaderError(ValueError):
    """Raised for bytes that are no complete image of a known format; the message says what is wrong."""


def header_size(data: bytes) -> tuple[int, int]:
    """The (height, width) of an encoded JPEG, PNG, BMP, GIF, WebP or TIFF image as its pixels are stored.

    Args:
        data: the whole file.

    Raises:
        HeaderError: if the file is empty, of another format, or ends too early.
    """
    if not data:
        raise HeaderError("the file is empty")
    for magic, size_of in _FORMATS:
        if data.startswith(magic) and (magic != b"RIFF" or data[8:12] == b"WEBP"):
            try:
                height, width = size_of(data)
            except (struct.error, IndexError):
                raise HeaderError("the file is truncated") from None
            if height < 1 or width < 1:
                raise HeaderError(f"its header gives a size of {width}x{height} pixels")
            return height, width
    raise HeaderError("no JPEG, PNG, BMP, GIF, WebP or TIFF image")


def _jpeg(data: bytes) -> tuple[int, int]:
    size = None
    at = 2
    while True:
        if data[at] != 0xFF:
            raise HeaderError(f"the JPEG structure is broken at byte {at}")
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        if marker in _JPEG_BARE:
            at += 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        if marker in _JPEG_FRAMES:
            size = struct.unpack_from(">HH", data, at + 5)
        if marker == 0xDA:
            break
        at += 2 + length
    # Looked for behind the start of scan: an EXIF thumbnail has an end marker of its own.
    if data.find(b"\xff\xd9", at) < 0:
        raise HeaderError("the file is truncated")
    if size is None:
        raise HeaderError("the JPEG file has no frame header")
    return size


def _png(data: bytes) -> tuple[int, int]:
    if data.rfind(b"IEND") < 0:
        raise HeaderError("the file is truncated")
    width, height = struct.unpack_from(">II", data, 16)
    return height, width


def _bmp(data: bytes) -> tuple[int, int]:
    if struct.unpack_from("<I", data, 14)[0] == 12:
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    return abs(height), width


def _gif(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", data, 6)
    return height, width


def _webp(data: bytes) -> tuple[int, int]:
    if len(data) < 8 + struct.unpack_from("<I", data, 4)[0]:
        raise HeaderError("the file is truncated")
    kind = data[12:16]
    if kind == b"VP8 ":
        width, height = (n & 0x3FFF for n in struct.unpack_from("<HH", data, 26))
    elif kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:
        width, height = (1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
    return height, width


def _tiff(data: bytes) -> tuple[int, int]:
    tags = tiff_tags(data)
    if not {WIDTH, HEIGHT} <= set(tags):
        raise HeaderError("the TIFF file does not say its size")
    bits = max(tags[BITS].values, default=1) if BITS in tags else 1
    if bits > 16:
        raise HeaderError(f"TIFF of {bits} bits a number; save it with 8 or 16")
    if end_of_pixels(tags) > len(data):
        raise HeaderError("the file is truncated")
    return tags[HEIGHT].values[0], tags[WIDTH].values[0]


_FORMATS = (
    (b"\xff\xd8\xff", _jpeg),
    (b"\x89PNG\r\n\x1a\n", _png),
    (b"BM", _bmp),
    (b"GIF8", _gif),
    (b"RIFF", _webp),
    *((magic, _tiff) for magic in MAGICS),
)
