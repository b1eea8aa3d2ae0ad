"""The tags of the first page of a TIFF file."""

from __future__ import annotations

import struct
from dataclasses import dataclass

MAGICS = (b"II*\0", b"MM\0*")
WIDTH, HEIGHT, BITS, ORIENTATION = 256, 257, 258, 274
PIECES = ((273, 279), (324, 325))
"""The tags of the places and lengths of strips and of tiles."""
TYPES = {1: "B", 3: "H", 4: "I"}
"""The types of whole numbers, by their code, for ``struct``."""


@dataclass(frozen=True)
class Tag:
    """The whole numbers of one tag.

    Args:
        values: the numbers.
        at: their position in the file.
        form: their format, for ``struct``.
    """

    values: tuple[int, ...]
    at: int
    form: str


def tiff_tags(data: bytes) -> dict[int, Tag]:
    """The tags of the first page that hold whole numbers.

    Args:
        data: the whole file, which begins with one of MAGICS.

    Raises:
        struct.error: if the file ends too early.
    """
    order = "<" if data[:2] == b"II" else ">"
    (at,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, at)
    tags = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, length = struct.unpack_from(f"{order}HHI", data, entry)
        if kind in TYPES:
            form = f"{order}{length}{TYPES[kind]}"
            place = entry + 8 if struct.calcsize(form) <= 4 else struct.unpack_from(f"{order}I", data, entry + 8)[0]
            tags[tag] = Tag(struct.unpack_from(form, data, place), place, form)
    return tags


def end_of_pixels(tags: dict[int, Tag]) -> int:
    """The length that a file needs to hold all pixels of its first page."""
    ends = [0]
    for places, lengths in PIECES:
        if places in tags and lengths in tags:
            ends += [a + n for a, n in zip(tags[places].values, tags[lengths].values)]
    return max(ends)


def as_stored(data: bytes) -> bytes:
    """The file without the tag by which OpenCV turns the image even if its flags forbid it; other formats unchanged."""
    mark = tiff_tags(data).get(ORIENTATION) if data.startswith(MAGICS) else None
    if mark is None or mark.values == (1,):
        return data
    upright = struct.pack(mark.form, *[1] * len(mark.values))
    return data[: mark.at] + upright + data[mark.at + len(upright) :]
