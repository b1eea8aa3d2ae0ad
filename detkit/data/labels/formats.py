"""The formats by name, and the recognition of a folder's format."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from detkit.data.coco_files import find_coco_files, is_instances
from detkit.data.images import IMAGE_SUFFIXES
from detkit.data.labels.coco import read_coco
from detkit.data.labels.cvat import is_cvat, read_cvat
from detkit.data.labels.form import LabelSet
from detkit.data.labels.labelme import is_labelme, read_labelme
from detkit.data.labels.open_images import is_open_images, read_open_images
from detkit.data.labels.voc import read_voc
from detkit.data.labels.yolo import read_yolo
from detkit.data.labels.yolo_files import CLASS_FILES, yolo_description
from detkit.data.other_formats import files_below, found_instead
from detkit.errors import ConfigError, DataError, counted
from detkit.registry import nearest

READERS: Mapping[str, Callable[[Path], LabelSet]] = {
    "voc": read_voc,
    "coco": read_coco,
    "yolo": read_yolo,
    "labelme": read_labelme,
    "cvat": read_cvat,
    "open_images": read_open_images,
}
_ROW = re.compile(rb"\s*\d+(\.0*)?(\s+[-+.\deE]+){4,}\s*$")


def recognised(place: Path) -> dict[str, str]:
    """The formats of a folder or file, each with the sign by which it was recognised; empty if there is none.

    Raises:
        DataError: if there is no such folder or file.
    """
    if not place.exists():
        raise DataError(f"{place}: no such folder (looked in {place.absolute()})")
    return {name: why for name in READERS if (why := sign_of(name, place))}


def read_labels(place: Path, name: str = "") -> tuple[LabelSet, str]:
    """The label set of a folder or file, and the sign by which its format was recognised.

    Args:
        place: the folder or file.
        name: its format; empty recognises it.

    Raises:
        ConfigError: if the format is unknown.
        DataError: if no format or several are recognised, or the format's reader fails.
    """
    if name and name not in READERS:
        raise ConfigError(f"no format {name!r}.{nearest(name, READERS)} Formats: {', '.join(READERS)}")
    if name:
        if not place.exists():
            raise DataError(f"{place}: no such folder (looked in {place.absolute()})")
        return READERS[name](place), "as asked for"
    found = recognised(place)
    if len(found) > 1:
        signs = "; ".join(f"{name}, as {why}" for name, why in found.items())
        raise DataError(f"{place}: may be several formats: {signs}; name the one that is meant (--from)")
    if not found:
        raise DataError(f"{place}: no labels of a known format ({', '.join(READERS)}). {found_instead(place)}")
    ((name, why),) = found.items()
    return READERS[name](place), why


def sign_of(name: str, place: Path) -> str:
    """The sign by which an existing folder or file is of a format, or an empty string."""
    return _of_file(place).get(name, "") if place.is_file() else _SIGNS[name](place)


def _sign_of_voc(root: Path) -> str:
    """Why a folder is VOC's, or nothing."""
    if (root / "ImageSets" / "Main").is_dir():
        return "it has ImageSets/Main"
    for folder in (root / "Annotations", root / "annotations", root):
        files = [path for path in files_below(folder, 1) if path.suffix == ".xml"] if folder.is_dir() else []
        if files and not all(is_cvat(path) for path in files):
            return f"{counted(len(files), 'XML file')} in {folder}"
    return ""


def _sign_of_coco(root: Path) -> str:
    """Why a folder is COCO's, or nothing."""
    found = find_coco_files(root)
    return f"{found[0].annotations} is an instances file" if found else ""


def _sign_of_yolo(root: Path) -> str:
    """Why a folder is YOLO's, or nothing."""
    if (file := yolo_description(root)) is not None:
        return f"{file} has names"
    files = files_below(root)
    images = {path.stem for path in files if path.suffix.lower() in IMAGE_SUFFIXES}
    texts = [path for path in files if path.suffix == ".txt" and path.stem in images]
    if any(path.name in CLASS_FILES for path in files) and texts:
        return f"{counted(len(texts), 'text file')} with names of images, and a file of class names"
    rows = next((path for path in texts if _has_row(path)), None)
    return f"{rows} has rows of a class number and four shares" if rows else ""


def _has_row(path: Path) -> bool:
    try:
        with path.open("rb") as opened:
            return _ROW.match(opened.readline(4096)) is not None
    except OSError:
        return False


def _sign_of_labelme(root: Path) -> str:
    files = [path for path in files_below(root) if path.suffix == ".json" and is_labelme(path)]
    return f"{counted(len(files), 'JSON file')} with shapes, the first: {files[0]}" if files else ""


def _sign_of_cvat(root: Path) -> str:
    files = [path for path in files_below(root) if path.suffix == ".xml" and is_cvat(path)]
    return f"the root element of {files[0]} is <annotations>" if files else ""


def _sign_of_open_images(root: Path) -> str:
    files = [path for path in files_below(root) if path.suffix == ".csv" and is_open_images(path)]
    return f"{files[0]} has the columns ImageID and XMin" if files else ""


_SIGNS = {
    "voc": _sign_of_voc,
    "coco": _sign_of_coco,
    "yolo": _sign_of_yolo,
    "labelme": _sign_of_labelme,
    "cvat": _sign_of_cvat,
    "open_images": _sign_of_open_images,
}


def _of_file(file: Path) -> dict[str, str]:
    checks: dict[str, tuple[str, Callable[[Path], bool]]] = {
        "coco": (".json", is_instances),
        "cvat": (".xml", is_cvat),
        "open_images": (".csv", is_open_images),
    }
    found = {
        name: f"of what {file} begins with"
        for name, (suffix, is_it) in checks.items()
        if file.suffix == suffix and is_it(file)
    }
    if file.suffix in (".yaml", ".yml"):
        found["yolo"] = f"{file} is a description file"
    return found
