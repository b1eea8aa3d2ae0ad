"""Reads files that others wrote: regular ones, of a bounded size."""

from __future__ import annotations

import errno
import stat
from pathlib import Path

MIB = 1 << 20


def bounded_bytes(file: Path, most: int) -> bytes:
    """The content of a file.

    Args:
        file: a pipe or a device is refused, it might never end.
        most: bytes; a larger file is refused before it is read.

    Raises:
        OSError: it cannot be read; ``strerror`` is a reason that a message can show.
    """
    try:
        found = file.stat()
    except ValueError:
        raise OSError(errno.EINVAL, "No file can have this name", str(file)) from None
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file", str(file))
    if found.st_size > most:
        raise OSError(errno.EFBIG, f"{found.st_size} bytes, at most {most} are read", str(file))
    return file.read_bytes()


def bounded_text(file: Path, most: int) -> str:
    """The content of a file in UTF-8, without a byte order mark.

    Raises:
        OSError: as ``bounded_bytes``.
        UnicodeDecodeError: it is no UTF-8.
    """
    return bounded_bytes(file, most).decode("utf-8-sig")
