"""Arrays from .npz and .mat files, without pickle."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Literal

import numpy as np

from detkit.errors import DataError
from detkit.reading import MIB, bounded_bytes, check_unpacked, reason, refuse_bomb

MAX_BYTES = 8192 * MIB
_MAT_HEADER, _MAT_COMPRESSED = 128, 15


def read_npz(file: Path) -> dict[str, np.ndarray]:
    """All arrays of a file of ``numpy.savez``; what else lies in the archive is none.

    Raises:
        DataError: another kind of file, a broken one, one that unpacks to far more than its size, or one that holds
            Python objects.
    """
    try:
        refuse_bomb(file)
        with np.load(file, allow_pickle=False) as arrays:
            return {name: value for name in arrays.files if isinstance(value := arrays[name], np.ndarray)}
    except Exception as error:  # zip, zlib and numpy raise what they like on broken bytes, MemoryError too
        raise DataError(f"{file}: not readable as .npz of plain arrays: {reason(error)}") from error


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
    except Exception as error:  # as for .npz
        raise DataError(f"{file}: not readable as .mat: {reason(error)}") from error
    return {name: value for name, value in arrays.items() if not name.startswith("__")}


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
                check_unpacked(file, unpacked, len(data))
        at += 8 + size
