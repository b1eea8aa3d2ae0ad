"""Boxes of Open Images, in CSV files."""

from __future__ import annotations

import csv
import functools
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from detkit.data.images import IMAGE_SUFFIXES
from detkit.data.labels.form import ImageLabels, LabelledImage, LabelledObject, LabelSet, distinct_ids
from detkit.data.labels.text_files import number, read_text
from detkit.data.repairs import every
from detkit.errors import DataError, counted

EXPECTED = "the columns ImageID, LabelName, XMin, XMax, YMin and YMax"
NEEDED = ("ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax")
FLAGS = ("IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside")
SPLITS = ("train", "validation", "test")
ROUNDING = 1e-3

Row = tuple[int, Mapping[str, str]]


def read_open_images(place: Path) -> LabelSet:
    """The label set of CSV files of boxes and the images that they name, which are below their folder.

    A file name that begins with train, validation or test, or has it after "oidv6-", gives the split. A file of class
    descriptions, if there is one, gives the names of the labels.

    Args:
        place: the folder, or one CSV file.

    Raises:
        DataError: if there is no such file, or a row is too short.
    """
    root = place.parent if place.is_file() else place
    files = [place] if place.is_file() else sorted(path for path in root.rglob("*.csv") if is_open_images(path))
    if not files:
        raise DataError(f"{root}: no CSV file of Open Images; expected {EXPECTED}")
    names = _descriptions(root)
    there = {path.stem: path for path in sorted(root.rglob("*")) if path.suffix.lower() in IMAGE_SUFFIXES}
    rows: dict[tuple[str, str], tuple[Path, list[Row]]] = {}
    for file in files:
        for line, row in _rows(file):
            rows.setdefault((_split(file), row["ImageID"]), (file, []))[1].append((line, row))
    paths = {key: there.get(key[1], root / f"{key[1]}.jpg") for key in rows}
    ids = distinct_ids([(split, image_id, paths[split, image_id]) for split, image_id in rows])
    images = [
        LabelledImage(ids[paths[key]], paths[key], functools.partial(_read, file, own, names))
        for key, (file, own) in rows.items()
    ]
    splits: dict[str, list[str]] = {}
    for key in rows:
        splits.setdefault(key[0], []).append(ids[paths[key]])
    missing = len(set(there.values()) - set(ids))
    notes = [f"{root}: {counted(missing, 'image')} that no CSV file names: left out"] if missing else []
    return LabelSet("open_images", root, images, splits if any(splits) else {}, notes=notes)


def is_open_images(file: Path) -> bool:
    """Whether a CSV file has the columns of Open Images' boxes."""
    try:
        with file.open("rb") as opened:
            head = opened.readline(4096).decode("utf-8-sig", errors="replace")
    except OSError:
        return False
    return {"ImageID", "XMin"} <= {column.strip() for column in head.split(",")}


def _split(file: Path) -> str:
    name = file.stem.removeprefix("oidv6-")
    return next((split for split in SPLITS if name.startswith(split)), "")


def _descriptions(root: Path) -> dict[str, str]:
    """The name of each label, from a file of label and name without a head."""
    names: dict[str, str] = {}
    for file in sorted(root.rglob("*class-descriptions*.csv")):
        for _, row in _lines(file, "a label and its name a line"):
            if len(row) == 2 and row[0] != "LabelName":
                names[row[0]] = row[1]
    return names


def _rows(file: Path) -> list[Row]:
    (_, head), *rows = [*_lines(file, EXPECTED)] or [(0, [])]
    missing = [name for name in NEEDED if name not in head]
    if missing:
        raise DataError(f"{file}: has no column {', '.join(missing)}; expected {EXPECTED}")
    found: list[Row] = [(line, dict(zip(head, row))) for line, row in rows]
    problems = [
        f"{file}:{line}: the row has another number of columns than the head"
        for line, row in rows
        if len(row) != len(head)
    ]
    problems += [
        f"{file}:{line}: ImageID is {row['ImageID']!r:.60}; expected the name of an image without ending"
        for line, row in found
        if "ImageID" in row and (not row["ImageID"] or {"/", "\\", "\0"} & set(row["ImageID"]))
    ]
    if problems:
        raise DataError(problems[0], problems)
    return found


def _lines(file: Path, expected: str) -> Iterator[tuple[int, list[str]]]:
    """The number and the columns of each line that is not empty."""
    reader = csv.reader(io.StringIO(read_text(file, expected)), skipinitialspace=True)
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise DataError(f"{file}:{reader.line_num}: not readable as CSV: {error}; expected {expected}") from None


def _read(file: Path, rows: Sequence[Row], names: Mapping[str, str], size: tuple[int, int]) -> ImageLabels:
    lost: Counter[str] = Counter()
    objects = every(functools.partial(_object, row, f"{file}:{line}", names, size, lost) for line, row in rows)
    return ImageLabels(tuple(objects), lost)


def _object(
    row: Mapping[str, str], where: str, names: Mapping[str, str], size: tuple[int, int], lost: Counter[str]
) -> LabelledObject:
    label = row["LabelName"].strip()
    if not label:
        raise DataError(f"{where} has no LabelName")
    name = names.get(label, label)
    if names and label not in names:
        raise DataError(f"{where} has LabelName {label!r:.60}, which the class descriptions do not name")
    where = f"{where}: object ({name})"
    shares = {key: number(row[key], f"{where}: {key}") for key in NEEDED[2:]}
    for key, value in shares.items():
        if not -ROUNDING <= value <= 1 + ROUNDING:
            raise DataError(f"{where} has {key} {value:g}; expected a share of the image from 0 to 1")
    height, width = size
    x1, y1 = shares["XMin"] * width, shares["YMin"] * height
    x2, y2 = shares["XMax"] * width, shares["YMax"] * height
    if x2 <= x1 or y2 <= y1:
        raise DataError(f"{where} has no area: {', '.join(f'{key} {value:g}' for key, value in shares.items())}")
    flags = {key: _flag(row.get(key), f"{where}: {key}") for key in FLAGS}
    lost.update(key for key in ("IsDepiction", "IsInside") if flags[key])
    if (row.get("Confidence") or "1").strip() not in ("1", "1.0"):
        lost["Confidence"] += 1
    return LabelledObject(
        where=where,
        name=name,
        box=(x1, y1, x2, y2),
        crowd=bool(flags["IsGroupOf"]),
        truncated=flags["IsTruncated"],
        occluded=flags["IsOccluded"],
    )


def _flag(text: str | None, where: str) -> bool | None:
    """A flag of a box; -1 says that nobody has looked."""
    value = (text or "").strip() or "-1"
    if value not in ("0", "1", "-1"):
        raise DataError(f"{where} is {value!r:.60}; expected 0, 1 or -1")
    return None if value == "-1" else value == "1"
