"""The images, annotation files and split lists of a VOC folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from detkit.data.images import IMAGE_SUFFIXES
from detkit.data.other_formats import found_instead
from detkit.data.splits import splits_taken
from detkit.errors import DataError
from detkit.system.reading import MIB, bounded_text, entries, told

MAX_BYTES = 256 * MIB
_FLAG = re.compile(r"\s+(-1|0|1)$")


@dataclass(frozen=True)
class VOCFiles:
    """The folders of a VOC data set.

    Args:
        images: folder of the images.
        annotations: folder of the XML files; may be the same.
        lists: ImageSets/Main, or None for a flat folder.
    """

    images: Path
    annotations: Path
    lists: Path | None

    def image_paths(self) -> dict[str, Path]:
        """The image file of each image id.

        Raises:
            DataError: if two images share an id.
        """
        paths: dict[str, Path] = {}
        for path in entries(self.images):
            if path.suffix.lower() in IMAGE_SUFFIXES:
                other = paths.setdefault(path.stem, path)
                if other is not path:
                    raise DataError(f"{path}: another image has the same id: {other.name}; rename one of them")
        return paths

    def xml_paths(self) -> dict[str, Path]:
        """The annotation file of each image id that has one, in the order of ids."""
        return {path.stem: path for path in entries(self.annotations) if path.suffix == ".xml"}


def find_voc_files(root: Path, needs_images: bool = True) -> VOCFiles:
    """The folders below the root: VOC's own layout, images/ and annotations/, or all files side by side.

    Raises:
        DataError: if there is no such folder, or no image in it; the message says what is expected.
    """
    if not root.is_dir():
        raise DataError(
            f"data set VOC: no folder {root} (looked in {root.absolute()}); set DATA.VOC.ROOT to a folder with your "
            "images and an XML file of the same name beside each, or to VOC's own, which holds Annotations, "
            "JPEGImages and ImageSets (http://host.robots.ox.ac.uk/pascal/VOC/)"
        )
    images = _first_folder(root, "JPEGImages", "images")
    annotations = _first_folder(root, "Annotations", "annotations")
    lists = root / "ImageSets" / "Main"
    files = VOCFiles(images, annotations, lists if lists.is_dir() else None)
    if needs_images and not any(path.suffix.lower() in IMAGE_SUFFIXES for path in entries(images)):
        raise DataError(
            f"data set VOC: no image in {images.absolute()}; set DATA.VOC.ROOT to the folder that holds Annotations, "
            f"JPEGImages and ImageSets, or to a folder of images and XML files. {found_instead(root)}"
        )
    return files


def _first_folder(root: Path, *names: str) -> Path:
    return next((root / name for name in names if (root / name).is_dir()), root)


def ids_of_lists(lists: Path, split: str, warnings: list[str]) -> list[str]:
    """The image ids of a split in ImageSets/Main, from its own list or from the lists that replace it.

    Raises:
        DataError: if there is no such list, or it cannot be read.
    """
    known = [path.stem for path in entries(lists) if path.suffix == ".txt"]
    splits = [name for name in known if "_" not in name]
    names = splits_taken("VOC", split, known, lists, warnings, told=splits)
    return [image_id for name in names for image_id in listed_ids(lists, name)]


def listed_ids(lists: Path, split: str) -> list[str]:
    """The image ids of ImageSets/Main/<split>.txt in file order.

    A class list such as cat_train.txt gives the same images; its second column (-1, 0 or 1) is ignored.

    Raises:
        DataError: if the list cannot be read, or an id is no plain file name.
    """
    file = lists / f"{split}.txt"
    lines = [line.strip() for line in _lines(file)]
    ids = [line for line in lines if line]
    if all(_FLAG.search(line) for line in ids):
        ids = [_FLAG.sub("", line) for line in ids]
    strange = [
        f"{file}: {image_id!r} is no image id; expected a file name without folder and suffix"
        for image_id in ids
        if re.search(r"[/\\\0]", image_id) or image_id in (".", "..")
    ]
    if strange:
        raise DataError(strange[0], strange)
    return ids


def _lines(file: Path) -> list[str]:
    with told(file, "list", "an image id a line"):
        return bounded_text(file, MAX_BYTES).splitlines()
