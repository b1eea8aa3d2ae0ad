"""Files that are either complete or missing, and locks between processes."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout
from safetensors import SafetensorError

from detkit.errors import WriteError

REFUSALS = frozenset(
    {
        errno.EACCES,
        errno.EDQUOT,
        errno.EEXIST,
        errno.EFBIG,
        errno.EIO,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENOSPC,
        errno.ENOTDIR,
        errno.EPERM,
        errno.EROFS,
        errno.ESTALE,
    }
)
"""What a file system answers where it cannot keep what is written; any other OSError is a bug."""


@contextmanager
def writing(path: Path | None = None) -> Iterator[None]:
    """A block whose errors of the file system become one-line errors.

    Args:
        path: the file to write, for errors that name no file; None if it is not known.

    Raises:
        WriteError: for no space, no permission, a file in the way and the like. Finished files stay.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in REFUSALS:
            raise
        raise _refused(path, error.filename, str(error.strerror)) from error
    except SafetensorError as error:
        raise _refused(path, None, str(error)) from error


def _refused(path: Path | None, named: str | None, reason: str) -> WriteError:
    what = "cannot be written" if path else "cannot be read or written"
    return WriteError(f"{path or named or 'a file'}: {what}: {reason}")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a file to write, which becomes ``path`` when the block ends. A reader sees the old file or the new one.

    The new content is on the disk before it gets the name, so a power cut leaves no empty file. If the block raises,
    ``path`` does not change, and the new file is removed. If ``path`` is a link, the file that it points to is
    replaced. A pipe or a device is written directly.

    Raises:
        WriteError: if the file system refuses to write.
    """
    with writing(path):
        if path.exists() and not path.is_file() and not path.is_dir():
            yield path
            return
        target = Path(os.path.realpath(path)) if path.is_symlink() else path
    partial = target.with_name(target.name + ".partial")
    try:
        with writing(path):
            yield partial
            with partial.open("r+b") as written:  # Windows flushes only what is open for writing
                os.fsync(written.fileno())
            partial.replace(target)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        raise


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file that appears only once it is complete."""
    with replacing(path) as partial:
        partial.write_bytes(content)


def write_json(path: Path, value: object) -> None:
    """Writes JSON, in UTF-8, to a file that appears only once it is complete."""
    text = json.dumps(value, indent=1, ensure_ascii=False)
    write_atomically(path, text.encode(errors="backslashreplace"))  # a name that is no UTF-8 becomes JSON's own escape


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Yields an empty folder, which becomes ``folder``, with its content, when the block ends.

    If the block raises, ``folder`` does not change; the next call removes the unfinished files.
    """
    partial = folder.with_name(folder.name + ".partial")
    _delete(partial)
    partial.mkdir(parents=True)
    yield partial
    remove_folder(folder)
    partial.rename(folder)


def remove_folder(folder: Path) -> None:
    """Removes a folder, so that a reader sees all of it or none of it, even if this process is killed meanwhile.

    The folder is renamed first; the next call removes what a killed process left of it. If it is a link, only the link
    is removed.
    """
    doomed = folder.with_name(folder.name + ".removed")
    _delete(doomed)
    if folder.is_dir():
        folder.rename(doomed)
        _delete(doomed)


def _delete(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
    elif folder.is_dir():
        shutil.rmtree(folder)


@contextmanager
def locked(path: Path, waits: Callable[[], None]) -> Iterator[None]:
    """Lets one process at a time into the block. When a process ends for any reason, its lock is free.

    Args:
        path: an empty file that is created; its folder must exist.
        waits: called once, before waiting, if another process is inside.
    """
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        waits()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def free_bytes(folder: Path) -> int:
    """Free bytes of a folder's disk; the folder need not exist."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    return shutil.disk_usage(there).free
