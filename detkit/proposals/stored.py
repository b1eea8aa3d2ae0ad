"""Arrays from .npz and .mat files, without pickle."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from detkit.errors import DataError


def read_npz(file: Path) -> dict[str, np.ndarray]:
    """All arrays of a file of ``numpy.savez``.

    Raises:
        DataError: another kind of file, a broken one, or one that holds Python objects.
    """
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise DataError(f"{file}: not readable as .npz of plain arrays: {error}") from error


def read_mat(file: Path) -> dict[str, np.ndarray]:
    """All variables of a MATLAB file up to version 7; cell arrays are arrays of objects.

    Raises:
        DataError: another kind of file, a broken one, or version 7.3.
    """
    from scipy.io import loadmat  # slow to import, and few runs need it
    from scipy.io.matlab import MatReadError

    try:
        arrays = loadmat(file)
    except NotImplementedError as error:
        raise DataError(f"{file}: MATLAB version 7.3 is not read; save it with -v7 or as .npz") from error
    except (OSError, ValueError, TypeError, EOFError, MatReadError) as error:
        raise DataError(f"{file}: not readable as .mat: {error}") from error
    return {name: value for name, value in arrays.items() if not name.startswith("__")}
