"""The splits of a COCO data set, as images of instances files."""

from __future__ import annotations

import functools
import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from detkit.data.coco_files import find_coco_files
from detkit.data.coco_json import COCOFile, read_coco_json
from detkit.data.other_formats import found_instead
from detkit.data.splits import Fractions, ids_of_split, no_split, splits_taken
from detkit.errors import DataError

EXPECTED = {
    "ANNOTATIONS": "instances JSON file, for example data/coco/annotations/instances_{split}.json",
    "IMAGES": "folder of the images, for example data/coco/{split}",
}


@dataclass(frozen=True)
class Part:
    """The selected images of one instances file.

    Args:
        file: the file.
        images: the folder of its images.
        ids: numbers of the selected images; None selects all.
    """

    file: COCOFile
    images: Path
    ids: frozenset[str] | None = None


def listed_part(split: str, annotations: str, images: str) -> Part:
    """A split whose paths are given."""
    _check_split(split, annotations, images)
    return Part(read_coco_json(Path(annotations.replace("{split}", split))), Path(images.replace("{split}", split)))


def found_parts(root: str, splits: Sequence[str], draw: bool, fractions: Fractions, warnings: list[str]) -> list[Part]:
    """The splits of a folder. A file is read only if a split needs it."""
    if not Path(root).is_dir():
        raise DataError(f"data set COCO: no folder {root} (looked in {Path(root).absolute()}); set DATA.COCO.ROOT")
    there = {one.name: one for one in find_coco_files(Path(root))}
    if not there:
        raise DataError(
            f"data set COCO: no instances file in {Path(root).absolute()}; expected JSON with images and categories, "
            f"there or in annotations/. {found_instead(Path(root))}"
        )
    read = functools.cache(lambda name: read_coco_json(there[name].annotations))
    parts = []
    for split in splits:
        if draw or len(there) == 1:
            ids = {
                name: [PurePosixPath(i.file_name).with_suffix("").as_posix() for i in read(name).images]
                for name in there
            }
            every_id = [image_id for own in ids.values() for image_id in own]
            chosen = frozenset(ids_of_split("COCO", split, {}, every_id, fractions, root, warnings))
            parts += [Part(read(name), one.images, chosen) for name, one in there.items()]
            continue
        names = splits_taken("COCO", split, list(there), root, warnings)
        parts += [Part(read(name), there[name].images) for name in names]
    return parts


def _check_split(split: str, annotations: str, images: str) -> None:
    if "{split}" not in annotations + images and split != "all":
        raise DataError(
            f"data set COCO: no split {split!r}: DATA.COCO.ANNOTATIONS names one file, whose only split is 'all'; "
            "write {split} into its path to have several, as in instances_{split}.json"
        )
    before, _, after = annotations.partition("{split}")
    if not Path(annotations.replace("{split}", split)).exists() and "{split}" not in after:
        there = sorted(glob.glob(f"{glob.escape(before)}*{glob.escape(after)}"))  # noqa: PTH207 (may be absolute)
        if there:
            known = [path[len(before) : len(path) - len(after)] for path in there]
            raise no_split("COCO", split, f"for DATA.COCO.ANNOTATIONS {annotations}", known)
