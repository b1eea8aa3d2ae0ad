"""Folders that are laid out for YOLO."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from detkit.data.images import IMAGE_SUFFIXES
from detkit.data.labels.form import LabelledImage, LabelSet, distinct_ids
from detkit.data.labels.text_files import read_text
from detkit.data.labels.yolo_files import CLASS_FILES, SPLITS, YOLOFolder, described, laid_out, yolo_description
from detkit.data.labels.yolo_rows import read_yolo_rows
from detkit.errors import counted
from detkit.system.reading import entries

NO_LABELS = {*CLASS_FILES, "readme.txt", "readme.roboflow.txt", "readme.dataset.txt", "notes.txt", "license.txt"}


def read_yolo(place: Path, class_names: Sequence[str] = ()) -> LabelSet:
    """The label set of a YOLO folder.

    A YAML file (names, train, val, test) describes it, or it has a file of class names and one of these layouts:

    - images/SPLIT with labels/SPLIT;
    - SPLIT/images with SPLIT/labels;
    - images with labels;
    - all files side by side.

    An image without a text file has no objects.

    Args:
        place: the folder, or its YAML file.
        class_names: class names for a folder that has none.

    Raises:
        DataError: if there are no class names, a split is missing, or a text file has no image.
    """
    root, file = (place.parent, place) if place.is_file() else (place, yolo_description(place))
    found = described(file) if file else laid_out(root, class_names)
    orphans = _orphans(found)
    listed = {split: [*paths, *orphans.images[split]] for split, paths in found.splits.items()}
    ids = distinct_ids([(split, _name_of(path, root), path) for split, paths in listed.items() for path in paths])
    images: dict[Path, LabelledImage] = {}
    missing = 0
    for paths in listed.values():
        texts = {path: label_file(path) for path in paths}
        is_labelled = any(text.is_file() for text in texts.values())
        missing += sum(not text.is_file() for text in texts.values()) if is_labelled else 0
        for path, text in texts.items():
            read = functools.partial(read_yolo_rows, text, found.names, found.num_keypoints)
            images[path] = LabelledImage(ids[path], path, read if is_labelled else None)
    notes = [f"{counted(missing, 'image')} without a text file: taken as images without objects"] if missing else []
    if orphans.num_unlisted:
        notes.append(f"{counted(orphans.num_unlisted, 'text file')} of images that no split lists: left out")
    splits = {split: [ids[path] for path in paths] for split, paths in listed.items()} if any(listed) else {}
    names = [name for name in found.names if name]
    return LabelSet("yolo", root, list(images.values()), splits, names, [f"{root}: {note}" for note in notes])


@dataclass(frozen=True)
class _Orphans:
    """Text files that are no listed image's.

    Args:
        images: for each split where the images of those that have none would lie; opening them tells so.
        num_unlisted: text files whose image is there, but in no split.
    """

    images: Mapping[str, Sequence[Path]]
    num_unlisted: int


def _orphans(found: YOLOFolder) -> _Orphans:
    known = {label_file(path) for paths in found.splits.values() for path in paths}
    images: dict[str, list[Path]] = {}
    seen: set[Path] = set(known)
    num_unlisted = 0
    for split, paths in found.splits.items():
        images[split] = []
        # The folder of the images of each folder of text files.
        folders = {label_file(path).parent: path.parent for path in paths}
        for folder, beside in folders.items():
            for text in entries(folder) if folder.is_dir() else []:
                if text in seen or text.suffix != ".txt" or text.name.lower() in NO_LABELS or not _holds_rows(text):
                    continue
                seen.add(text)
                if any((beside / f"{text.stem}{suffix}").exists() for suffix in IMAGE_SUFFIXES):
                    num_unlisted += 1
                else:
                    images[split].append(beside / f"{text.stem}.jpg")
    return _Orphans(images, num_unlisted)


def _name_of(path: Path, root: Path) -> str:
    """The image's name below its folder "images", or its plain name; folders that hold the data set do not count."""
    own = path.relative_to(root) if path.is_relative_to(root) else path
    parts = own.with_suffix("").parts
    below = parts[len(parts) - parts[::-1].index("images") :] if "images" in parts else parts[-1:]
    return "/".join(below[1:] if len(below) > 1 and below[0] in SPLITS else below)


def label_file(image: Path) -> Path:
    """The text file of an image: in the folder labels beside its folder images, or beside the image."""
    parts = list(image.parts)
    if "images" in parts:
        parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
        text = Path(*parts).with_suffix(".txt")
        if text.is_file() or text.parent.is_dir():
            return text
    return image.with_suffix(".txt")


def _holds_rows(path: Path) -> bool:
    """Whether a text file begins as a label file does; lists of images lie in the same folders."""
    first = read_text(path, "rows of numbers").split(maxsplit=1)[:1]
    return not first or first[0].replace(".", "", 1).isdecimal()
