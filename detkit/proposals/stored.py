"""Arrays from .npz and .mat files, without pickle."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from detkit.errors import DataError
from detkit.system.reading import MIB, bounded_bytes, check_unpacked, reason, refuse_bomb

MAX_BYTES = 8192 * MIB
_MAT_HEADER = 128
_MAT_ARRAY, _MAT_COMPRESSED = 14, 15
_MAT_HEAD = [6, 5, 1]
"""Data types of an array's flags, dimensions and name."""
_MAT_NUMBERS = {1, 2, 3, 4, 5, 6, 7, 9, 12, 13}
_MAT_CELL, _MAT_TEXT = 1, 4
"""Classes of arrays; those of numbers are 6 to 15. Source: MathWorks, MAT-file format, level 5."""


def read_npz(file: Path) -> dict[str, np.ndarray]:
    """All arrays of a file of ``numpy.savez``; other files in the archive are ignored.

    Raises:
        DataError: if the file is of another kind, is broken, would unpack to far more than its size, or holds Python
            objects.
    """
    try:
        refuse_bomb(file)
        with np.load(file, allow_pickle=False) as arrays:
            return {name: value for name in arrays.files if isinstance(value := arrays[name], np.ndarray)}
    except Exception as error:  # zip, zlib and numpy raise what they like on broken bytes, MemoryError too
        raise DataError(f"{file}: not readable as .npz of plain arrays: {reason(error)}") from error


def read_mat(file: Path) -> dict[str, np.ndarray]:
    """All variables of a MATLAB file up to version 7; cell arrays become arrays of objects.

    Raises:
        DataError: if the file is of another kind or of version 7.3, is broken, would unpack to far more than its size,
            or holds other arrays than of numbers, text and cells.
    """
    from scipy.io import loadmat  # slow to import, and few runs need it

    try:
        data = bounded_bytes(file, MAX_BYTES)
        is_version_4 = 0 in data[:4]  # as scipy tells it
        is_hdf5 = not is_version_4 and 2 in data[124:126]
        if not (is_version_4 or is_hdf5):
            _refuse_unsafe_mat(file, data)
        arrays = {} if is_hdf5 else loadmat(file)
    except Exception as error:  # as for .npz
        raise DataError(f"{file}: not readable as .mat: {reason(error)}") from error
    if is_hdf5:
        raise DataError(f"{file}: MATLAB version 7.3 is not read; save it with -v7 or as .npz")
    return {name: value for name, value in arrays.items() if not name.startswith("__")}


def _refuse_unsafe_mat(file: Path, data: bytes) -> None:
    """Refuses a version 5 file that unpacks to far more than its size, or with arrays that scipy does not read safely.

    scipy looks data types up in a table without a bound: an unknown one ends the process.
    """
    order: Literal["little", "big"] = "big" if data[126:128] == b"MI" else "little"
    unpacked = 0
    for kind, body in _elements(data[_MAT_HEADER:], order, padded=False):
        if kind == _MAT_COMPRESSED:
            parts, packed, unzip = [], body, zlib.decompressobj()
            while packed and not unzip.eof:
                parts.append(unzip.decompress(packed, MIB))
                unpacked += len(parts[-1])
                packed = unzip.unconsumed_tail
                check_unpacked(file, unpacked, len(data))
            for inner, own in _elements(b"".join(parts), order):
                _check_array(inner, own, order)
        else:
            _check_array(kind, body, order)


def _elements(data: bytes, order: Literal["little", "big"], *, padded: bool = True) -> Iterator[tuple[int, bytes]]:
    """(data type, content) of the elements of a version 5 file; padded ones begin at every eighth byte."""
    at = 0
    while at + 8 <= len(data):
        first, size = (int.from_bytes(data[n : n + 4], order) for n in (at, at + 4))
        if first >> 16:  # a small element: its size and up to four bytes stand in the tag itself
            yield first & 0xFFFF, data[at + 4 : at + 4 + min(first >> 16, 4)]
            at += 8
        else:
            yield first, data[at + 8 : at + 8 + size]
            at += 8 + size + (-size % 8 if padded else 0)


def _check_array(kind: int, body: bytes, order: Literal["little", "big"], depth: int = 0) -> None:
    """Refuses anything but arrays of numbers or text, and cell arrays of these."""
    if kind != _MAT_ARRAY:
        raise ValueError(f"an element of data type {kind} where an array belongs")
    if not body:
        return
    parts = list(_elements(body, order))
    head, content = parts[:3], {kind for kind, _ in parts[3:]}
    if [kind for kind, _ in head] != _MAT_HEAD or len(head[0][1]) < 4:
        raise ValueError("an array without flags, dimensions and name")
    of = int.from_bytes(head[0][1][:4], order) & 0xFF
    allowed = {_MAT_CELL: {_MAT_ARRAY}, _MAT_TEXT: _MAT_NUMBERS | {16, 17, 18}}.get(of, _MAT_NUMBERS)
    if of not in (_MAT_CELL, _MAT_TEXT, *range(6, 16)) or not content <= allowed or depth > 8:
        raise ValueError(f"an array of class {of}; numbers, text and cell arrays of them are read")
    for inner, own in parts[3:] if of == _MAT_CELL else []:
        _check_array(inner, own, order, depth + 1)
