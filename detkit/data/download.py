"""Downloads PASCAL VOC, resumes interrupted downloads, and unpacks the archives."""

from __future__ import annotations

import hashlib
import http.client
import tarfile
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from detkit.errors import ConfigError, DataError
from detkit.progress import progress
from detkit.registry import nearest
from detkit.system.files import writing

CHUNK = 1 << 20
TIMEOUT = 60


@dataclass(frozen=True)
class Archive:
    """One file to download.

    Args:
        url: address of the file.
        name: name of the file.
        md5: MD5 of its content, in hexadecimal.
        folder: the folder that it unpacks to, relative to where it is unpacked.
    """

    url: str
    name: str
    md5: str
    folder: str


def archives() -> Mapping[str, Sequence[Archive]]:
    """The archives of each data set. Addresses and checksums are torchvision's."""
    from torchvision.datasets.voc import DATASET_YEAR_DICT

    def of(key: str) -> Archive:
        told = DATASET_YEAR_DICT[key]
        return Archive(told["url"], told["filename"], told["md5"], Path("VOCdevkit", f"VOC{key[:4]}").as_posix())

    return {"voc2007": (of("2007"), of("2007-test")), "voc2012": (of("2012"),)}


def get(name: str, folder: Path) -> Path:
    """Downloads and unpacks a data set. Archives that are in the folder already are not downloaded.

    Args:
        name: "voc2007" or "voc2012".
        folder: folder for the archives and their content; it is created.

    Returns:
        The folder of the data set, for DATA.ROOT.

    Raises:
        ConfigError: if the name is unknown.
        DataError: if an archive cannot be downloaded or has a wrong checksum; it says which files to copy there.
        WriteError: if there is no space, or the folder cannot be written.
    """
    known = archives()
    if name not in known:
        raise ConfigError(f"no data set {name!r} to fetch.{nearest(name, known)} There is: {', '.join(known)}")
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for archive in known[name]:
        file = folder / archive.name
        done = folder / archive.folder / f".{archive.name}.unpacked"
        if done.is_file():
            continue
        if not file.is_file():
            _fetch(archive, file, known[name])
        if (found := _md5(file)) != archive.md5:
            raise DataError(
                f"{file}: its MD5 is {found}, expected {archive.md5}; remove it and run the command again, or bring it "
                f"from {archive.url}"
            )
        _unpack(file, folder)
        with writing(done):
            done.write_bytes(b"")
    return folder / known[name][0].folder


def _fetch(archive: Archive, file: Path, wanted: Sequence[Archive]) -> None:
    """Puts the archive in place; what an earlier try got is kept beside it and continued."""
    partial = file.with_name(file.name + ".partial")
    try:
        _continue(archive.url, partial)
    except (OSError, http.client.HTTPException) as error:
        files = ", ".join(f"{one.name} (MD5 {one.md5}, {one.url})" for one in wanted)
        raise DataError(
            f"{archive.url}: cannot be fetched: {getattr(error, 'reason', None) or error}; run the command again to go "
            f"on, or bring {files} to {file.parent.absolute()} and run it again: it then unpacks them"
        ) from None
    with writing(file):
        partial.rename(file)


def _continue(url: str, partial: Path) -> None:
    start = partial.stat().st_size if partial.is_file() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416 and start:  # nothing is left to send: the file was whole
            return
        raise
    with answer:
        # A server that knows no ranges sends all of it.
        goes_on = answer.status == 206
        left = int(answer.headers.get("Content-Length") or 0)
        told = (start if goes_on else 0) + left
        with (
            writing(partial),
            partial.open("ab" if goes_on else "wb") as out,
            progress(f"fetch {partial.stem}", told >> 20, "MiB", done=start >> 20 if goes_on else 0) as bar,
        ):
            size = 0
            while block := answer.read(CHUNK):
                out.write(block)
                size += len(block)
                bar.update()
    if left and size < left:
        raise ConnectionError(f"the connection ended after {size} of {left} bytes")


def _md5(file: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with file.open("rb") as opened:
        while block := opened.read(CHUNK):
            digest.update(block)
    return digest.hexdigest()


def _unpack(file: Path, folder: Path) -> None:
    """Unpacks a tar file; entries that would leave the folder are refused by the filter."""
    try:
        with tarfile.open(file) as tar, writing(folder):
            tar.extractall(folder, filter="data")
    except tarfile.TarError as error:
        raise DataError(f"{file}: cannot be unpacked: {error}") from None
