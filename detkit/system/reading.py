"""Safe reading of files of unknown origin: regular files of bounded size."""

from __future__ import annotations

import errno
import json
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError
from zipfile import ZipFile

from detkit.errors import DataError

MIB = 1 << 20
FREE_BYTES = 64 * MIB
MOST_TIMES = 100
"""A file may unpack to FREE_BYTES, or to MOST_TIMES its size: numbers never pack as well as a bomb does."""


def bounded_bytes(file: Path, most: int) -> bytes:
    """The content of a file.

    Args:
        file: the file; a pipe or a device is refused, because it might never end.
        most: largest size in bytes; a larger file is refused before it is read.

    Raises:
        OSError: if the file cannot be read; ``strerror`` is a reason for a message.
    """
    if (size := _regular_size(file)) > most:
        raise OSError(errno.EFBIG, f"{size} bytes, at most {most} are read", str(file))
    return file.read_bytes()


def _regular_size(file: Path) -> int:
    try:
        found = file.stat()
    except ValueError:
        raise OSError(errno.EINVAL, "No file can have this name", str(file)) from None
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
        raise OSError(errno.EINVAL, "Not a regular file", str(file))
    return found.st_size


def bounded_text(file: Path, most: int) -> str:
    """The content of a file in UTF-8, without a byte order mark.

    Raises:
        OSError: as for ``bounded_bytes``.
        UnicodeDecodeError: if the file is no UTF-8.
    """
    return bounded_bytes(file, most).decode("utf-8-sig")


def bounded_json(file: Path, most: int, of_object: Callable[[dict[str, Any]], Any] = dict) -> Any:
    """The value of a JSON file in UTF-8.

    Args:
        file: as for ``bounded_bytes``.
        most: largest size in bytes.
        of_object: replaces each object, as soon as it is read.

    Raises:
        OSError: as for ``bounded_bytes``.
        UnicodeDecodeError: if the file is no UTF-8.
        JSONDecodeError: if the file is no JSON.
        ValueError: if a number has thousands of digits, or an object repeats a key (Python would keep the last).
        RecursionError: if the value is nested too deep.
    """

    def checked(pairs: list[tuple[str, Any]]) -> Any:
        found = dict(pairs)
        if len(found) < len(pairs):
            repeated = Counter(key for key, _ in pairs).most_common(1)[0][0]
            raise ValueError(f"an object has the key {repeated!r} twice")
        return of_object(found)

    return json.loads(bounded_text(file, most), object_pairs_hook=checked)


@contextmanager
def told(file: Path, what: str, expected: str, *, form: str = "text", missing: str = "") -> Iterator[None]:
    """A block whose errors in reading and parsing a file become one line that names the file.

    Args:
        file: the file that is read in the block.
        what: its content, as in "cannot read the labels".
        expected: the content that it should have.
        form: "text", "JSON" or "XML".
        missing: the whole message if there is no such file; empty takes the system's reason.

    Raises:
        DataError: if the file is missing, cannot be read, or is not of that form.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(missing or f"{file}: cannot read the {what}: {error.strerror or error}") from None
    except OSError as error:
        raise DataError(f"{file}: cannot read the {what}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise DataError(f"{file}: not a text file in UTF-8; expected {expected}") from None
    except json.JSONDecodeError as error:
        raise DataError(f"{file}:{error.lineno}: not readable as JSON: {error.msg}; expected {expected}") from None
    except ParseError as error:
        raise DataError(f"{file}:{error.position[0]}: not readable as XML: {error}; expected {expected}") from None
    except (LookupError, ValueError, RecursionError) as error:
        raise DataError(f"{file}: not readable as {form}: {error}; expected {expected}") from None


def refuse_bomb(file: Path) -> None:
    """Refuses a zip archive that would unpack to far more than its size, by its directory; reading never exceeds that.

    Raises:
        OSError: if the archive would unpack to far more than its size, or cannot be read.
        BadZipFile: if the file is no zip archive.
    """
    size = _regular_size(file)
    with ZipFile(file) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    check_unpacked(file, unpacked, size)


def check_unpacked(file: Path, unpacked: int, size: int) -> None:
    """Refuses a file of ``size`` bytes that would unpack to far more.

    Raises:
        OSError: if it would.
    """
    if unpacked > max(FREE_BYTES, MOST_TIMES * size):
        raise OSError(errno.EFBIG, f"{size} bytes unpack to {unpacked} or more; at most {MOST_TIMES} times", str(file))


def entries(folder: Path) -> list[Path]:
    """The sorted entries of a folder.

    Raises:
        DataError: if the folder cannot be read.
    """
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {reason(error)}") from None


def reason(error: Exception) -> str:
    """The reason of an error in reading, for a message that names the file itself."""
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
