"""Reads files that others wrote: regular ones, of a bounded size."""

from __future__ import annotations

import errno
import stat
from pathlib import Path
from zipfile import ZipFile

MIB = 1 << 20
FREE_BYTES = 64 * MIB
MOST_TIMES = 100
"""A file may unpack to FREE_BYTES, or to MOST_TIMES its size: numbers never pack as well as a bomb does."""


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


def refuse_bomb(file: Path) -> None:
    """Refuses a zip archive whose directory announces far more than its size; reading stops at what is announced.

    Raises:
        OSError: it does, or it cannot be read.
        BadZipFile: it is no zip archive.
    """
    with ZipFile(file) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    check_unpacked(file, unpacked, file.stat().st_size)


def check_unpacked(file: Path, unpacked: int, size: int) -> None:
    """Refuses a file of ``size`` bytes that unpacks to far more.

    Raises:
        OSError: it does.
    """
    if unpacked > max(FREE_BYTES, MOST_TIMES * size):
        raise OSError(errno.EFBIG, f"{size} bytes unpack to {unpacked} or more; at most {MOST_TIMES} times", str(file))


def reason(error: Exception) -> str:
    """Why something could not be read, for a message that names the file itself."""
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
