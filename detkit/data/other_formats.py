"""The content of a folder without VOC annotations, for messages."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from detkit.data.images import IMAGE_SUFFIXES
from detkit.system.reading import entries

DEPTH = 3
"""Levels of folders that are looked at: dataset/labels/train is the deepest that is usual."""
_MASK_FOLDERS = ("mask", "segmentation", "label", "annotation")
_EXPECTED = (
    "Detkit trains on PASCAL VOC's XML files, COCO's instances JSON and YOLO's text files (DATA.ROOT=FOLDER recognises "
    "them); detkit data convert makes VOC of LabelMe, CVAT and Open Images"
)


def found_instead(root: Path) -> str:
    """Two sentences: what was found below a folder, and which formats detkit reads."""
    found = [*other_annotations(root), *_images_and_xml(root)]
    return f"Found there: {'; '.join(found) or 'no image and no annotation'}. {_EXPECTED}"


def other_annotations(root: Path) -> list[str]:
    """A phrase for each kind of annotations below a folder, other than VOC's."""
    files = files_below(root)
    images = {path.stem for path in files if _is_image(path)}
    kinds: Counter[str] = Counter()
    for path in files:
        kind = _kind(path, root, path.stem in images)
        if kind:
            kinds[kind] += 1
    return [f"{count} {kind}" for kind, count in kinds.items()]


def _kind(path: Path, root: Path, is_named_as_an_image: bool) -> str:
    suffix, folders = path.suffix.lower(), path.relative_to(root).parts[:-1]
    if suffix == ".txt" and is_named_as_an_image:
        return "text files with the names of images, as YOLO writes them"
    if suffix == ".json":
        if is_named_as_an_image:
            return "JSON files with the names of images, as LabelMe writes them"
        return f"JSON file that may be COCO's ({path})"
    if suffix == ".csv":
        return f"CSV file ({path})"
    in_masks = any(folder.lower().startswith(_MASK_FOLDERS) for folder in folders)
    if _is_image(path) and (in_masks or path.stem.lower().endswith("_mask")):
        return "images that look like masks"
    return ""


def _images_and_xml(root: Path) -> list[str]:
    """Phrases for images and XML files in sub-folders, of which the root may be meant."""
    folders: dict[str, Counter[str]] = {}
    for path in files_below(root):
        kind = "images" if _is_image(path) else "XML files" if path.suffix == ".xml" else ""
        if kind:
            folders.setdefault(str(path.parent), Counter())[kind] += 1
    return [
        f"{' and '.join(f'{count} {kind}' for kind, count in kinds.items())} in {folder}"
        for folder, kinds in folders.items()
    ]


def files_below(folder: Path, depth: int = DEPTH) -> list[Path]:
    """The files of a folder and of its sub-folders, down to a depth; hidden folders are left out."""
    inside = entries(folder)
    files = [path for path in inside if path.is_file()]
    for path in inside:
        if path.is_dir() and depth > 1 and not path.name.startswith("."):
            files += files_below(path, depth - 1)
    return files


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES
