"""The images, splits and class names of a YOLO folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from detkit.data.images import IMAGE_SUFFIXES
from detkit.data.labels.text_files import read_text
from detkit.errors import DataError
from detkit.system.reading import entries

CLASS_FILES = ("classes.txt", "obj.names", "predefined_classes.txt")
SPLITS = ("train", "val", "valid", "validation", "test")


@dataclass(frozen=True)
class YOLOFolder:
    """The content of a YOLO folder, by its description file or its layout.

    Args:
        names: the class of each number; "" for a number without a class.
        splits: the images of each split; {"": ...} for a folder without splits.
        num_keypoints: number of values for keypoints in a row.
    """

    names: tuple[str, ...]
    splits: Mapping[str, Sequence[Path]]
    num_keypoints: int = 0


def yolo_description(root: Path) -> Path | None:
    """The YAML file that describes a folder, as Ultralytics and Roboflow write it; None if there is none.

    Raises:
        DataError: if there are several and none has a usual name.
    """
    files = [path for path in entries(root) if path.suffix in (".yaml", ".yml") and _describes(path)]
    usual = [path for path in files if path.stem in ("data", "dataset", "_data")] or files
    if len(usual) > 1:
        names = ", ".join(path.name for path in usual)
        raise DataError(f"{root}: {len(usual)} files describe a YOLO data set: {names}; name one of them instead")
    return usual[0] if usual else None


def _describes(path: Path) -> bool:
    try:
        data = _yaml(path)
    except DataError:
        return path.stem in ("data", "dataset")
    return isinstance(data, dict) and "names" in data


def _yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(read_text(path, "YAML"))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise DataError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from None


def described(file: Path) -> YOLOFolder:
    """The folder of a description file; if the file names no split, by the folder's layout.

    Raises:
        DataError: if there are no names, a name is repeated, or a split is missing.
    """
    data = _yaml(file)
    if not isinstance(data, dict) or "names" not in data:
        raise DataError(f"{file}: no description of a YOLO data set; expected the keys names, train and val")
    names = _class_names(data["names"], file)
    if isinstance(data.get("nc"), int) and data["nc"] != len(names):
        raise DataError(f"{file}: nc is {data['nc']}, but names has {len(names)}; they must agree")
    shape = data.get("kpt_shape")
    numbers = shape[0] * shape[1] if isinstance(shape, list) and [*map(type, shape)] == [int, int] else 0
    base = _base(file, data.get("path"))
    splits = {key: _listed(data[key], key, base, file) for key in SPLITS if data.get(key)}
    if not splits:
        return YOLOFolder(names, _folders_of(file.parent), numbers)
    return YOLOFolder(names, splits, numbers)


def _class_names(names: Any, file: Path) -> tuple[str, ...]:
    """From a list, or from numbers with names; a number that is left out has the name ""."""
    if isinstance(names, dict) and all(type(key) is int and 0 <= key < 10**5 for key in names):
        names = [names.get(number, "") for number in range(max(names, default=-1) + 1)]
    if not isinstance(names, list) or not names:
        raise DataError(f"{file}: names is {names!r:.60}; expected a list of class names, or a name for each number")
    texts = [str(name) for name in names]
    _refuse_repeated(texts, f"{file}: names")
    return tuple(texts)


def _refuse_repeated(names: Sequence[str], where: str) -> None:
    for name in names:
        if name and names.count(name) > 1:
            raise DataError(
                f"{where}: class {name!r} stands there {names.count(name)} times; each may stand there once"
            )


def _base(file: Path, path: Any) -> Path:
    """The folder that ``train`` and ``val`` are looked up in; that of the file where ``path`` is of another machine."""
    if path is not None and not isinstance(path, str):
        raise DataError(f"{file}: path is {path!r:.60}; expected a folder")
    candidates = [file.parent / path, Path(path)] if path else []
    return next((folder for folder in candidates if folder.is_dir()), file.parent)


def _listed(value: Any, split: str, base: Path, file: Path) -> list[Path]:
    places = value if isinstance(value, list) else [value]
    if not all(isinstance(place, str) and place for place in places):
        raise DataError(f"{file}: {split} is {value!r:.60}; expected a folder of images, a list file, or several")
    return list(dict.fromkeys(path for place in places for path in _images_at(place, split, base, file)))


def _images_at(place: str, split: str, base: Path, file: Path) -> list[Path]:
    # Roboflow writes ../train/images for what lies beside the file.
    candidates = [base / place, base / place.removeprefix("../"), file.parent / place]
    for path in candidates:
        if path.is_dir():
            return _images_in(path)
        if path.is_file() and path.suffix == ".txt":
            lines = [line.strip() for line in read_text(path, "an image a line").splitlines() if line.strip()]
            return [_listed_image(line, path, base) for line in lines]
    raise DataError(f"{file}: {split}: {place}: no such folder or list file; looked in {base} and {file.parent}")


def _listed_image(line: str, file: Path, base: Path) -> Path:
    """An image of a list file: beside the list, below the base, or where the line says it is."""
    candidates = [file.parent / line, base / line, Path(line)]
    return next((path for path in candidates if path.exists()), candidates[0])


def laid_out(root: Path, class_names: Sequence[str]) -> YOLOFolder:
    """The content of a folder without a description file.

    Args:
        root: the folder.
        class_names: class names for a folder that has no file of them.

    Raises:
        DataError: if there are no class names.
    """
    files = [folder / name for folder in (root, root / "labels") for name in CLASS_FILES]
    file = next((path for path in files if path.is_file()), None)
    if file:
        class_names = [line.strip() for line in read_text(file, "a class name a line").splitlines() if line.strip()]
        _refuse_repeated(class_names, str(file))
    if not class_names:
        raise DataError(
            f"{root}: YOLO's text files without class names; put data.yaml with names, or classes.txt with a name a "
            "line, beside them"
        )
    return YOLOFolder(tuple(class_names), _folders_of(root))


def _folders_of(root: Path) -> dict[str, list[Path]]:
    """The images of each split of a folder without a description, "" for the one of a folder that is not divided."""
    for pattern in ("images/{}", "{}/images", "{}"):
        there = {split: root / pattern.format(split) for split in SPLITS}
        if found := {split: _images_in(folder) for split, folder in there.items() if folder.is_dir()}:
            return found
    images = root / "images" if (root / "images").is_dir() else root
    return {"": _images_in(images)}


def _images_in(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and not p.is_dir())
