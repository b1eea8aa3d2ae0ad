"""Arrays from .npz and .mat files, without pickle."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Literal
from zipfile import ZipFile

import numpy as np

from detkit.errors import DataError
from detkit.reading import MIB, bounded_bytes

MAX_BYTES = 8192 * MIB
FREE_BYTES = 64 * MIB
MOST_TIMES = 100
"""A file may unpack to FREE_BYTES, or to MOST_TIMES its size: boxes never pack as well as a bomb does."""
_MAT_HEADER, _MAT_COMPRESSED = 128, 15


def read_npz(file: Path) -> dict[str, np.ndarray]:
    """All arrays of a file of ``numpy.savez``.

    Raises:
        DataError: another kind of file, a broken one, one that unpacks to far more than its size, or one that holds
            Python objects.
    """
    try:
        refuse_bomb(file)
        with np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except DataError:
        raise
    except Exception as error:  # zip, zlib and numpy raise what they like on broken bytes, MemoryError too
        raise DataError(f"{file}: not readable as .npz of plain arrays: {error or type(error).__name__}") from error


def read_mat(file: Path) -> dict[str, np.ndarray]:
    """All variables of a MATLAB file up to version 7; cell arrays are arrays of objects.

    Raises:
        DataError: another kind of file, a broken one, one that unpacks to far more than its size, or version 7.3.
    """
    from scipy.io import loadmat  # slow to import, and few runs need it

    try:
        _refuse_mat_bomb(file)
        arrays = loadmat(file)
    except NotImplementedError as error:
        raise DataError(f"{file}: MATLAB version 7.3 is not read; save it with -v7 or as .npz") from error
    except DataError:
        raise
    except Exception as error:  # as for .npz
        raise DataError(f"{file}: not readable as .mat: {error or type(error).__name__}") from error
    return {name: value for name, value in arrays.items() if not name.startswith("__")}


def refuse_bomb(file: Path) -> None:
    """Refuses a zip archive whose directory announces far more than its size; reading stops at what is announced.

    Raises:
        DataError: it does.
        OSError: it cannot be read.
        BadZipFile: it is no zip archive.
    """
    with ZipFile(file) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    _check_unpacked(file, unpacked, file.stat().st_size)


def _check_unpacked(file: Path, unpacked: int, size: int) -> None:
    if unpacked > max(FREE_BYTES, MOST_TIMES * size):
        raise DataError(f"{file}: {size} bytes unpack to {unpacked}, at most {MOST_TIMES} times as many are read")


def _refuse_mat_bomb(file: Path) -> None:
    """Counts what the compressed elements of a version 5 file unpack to, a piece at a time."""
    data = bounded_bytes(file, MAX_BYTES)
    order: Literal["little", "big"] = "big" if data[126:128] == b"MI" else "little"
    at, unpacked = _MAT_HEADER, 0
    while at + 8 <= len(data):
        kind, size = (int.from_bytes(data[n : n + 4], order) for n in (at, at + 4))
        if kind == _MAT_COMPRESSED:
            packed, unzip = data[at + 8 : at + 8 + size], zlib.decompressobj()
            while packed and not unzip.eof:
                unpacked += len(unzip.decompress(packed, MIB))
                packed = unzip.unconsumed_tail
                _check_unpacked(file, unpacked, len(data))
        at += 8 + size
