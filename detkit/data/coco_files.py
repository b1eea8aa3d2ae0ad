"""The instances files of a COCO folder, and the image folder of each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from detkit.data.images import IMAGE_SUFFIXES
from detkit.errors import DataError
from detkit.system.reading import entries

DEPTH = 3
PEEK = 1 << 16
_OTHER_KINDS = ("captions_", "person_keypoints_", "stuff_", "panoptic_", "image_info_")
"""Beginnings of COCO's files that hold no boxes of objects, or hold them once more."""
_WORDS = re.compile(r"^(instances|annotations|annotation|_annotations|labels|coco)[_.-]?|[_.-]?(annotations|coco)$")
_ROBOFLOW = "_annotations.coco"


@dataclass(frozen=True)
class COCOSplit:
    """An instances file, and the folder of the images that it names."""

    name: str
    annotations: Path
    images: Path


def find_coco_files(root: Path) -> list[COCOSplit]:
    """The instances files below a folder, by the name of their split; a single file has the name "".

    Known layouts:
    - annotations/instances_SPLIT.json with images in SPLIT, images/SPLIT or images;
    - SPLIT/_annotations.coco.json beside its images;
    - one JSON file with images beside it, in images or in data.

    Raises: DataError: if two files are of one split.
    """
    files = [path for path in _json_files(root, DEPTH) if is_instances(path)]
    names = {path: _split_name(path, root) for path in files} if len(files) > 1 else dict.fromkeys(files, "")
    by_name: dict[str, Path] = {}
    for path, name in names.items():
        if by_name.setdefault(name, path) is not path:
            raise DataError(
                f"{root}: {path} and {by_name[name]} are both COCO's, and of one split {name!r}; set "
                "DATA.COCO.ANNOTATIONS and DATA.COCO.IMAGES, or put each into a folder of its own"
            )
    return [
        COCOSplit(name, path, _images_of(path, name or _split_name(path, root), root)) for name, path in by_name.items()
    ]


def is_instances(path: Path) -> bool:
    """Whether a JSON file looks like an instances file, by its first and last bytes."""
    if path.name.startswith(_OTHER_KINDS):
        return False
    try:
        with path.open("rb") as opened:
            text = opened.read(PEEK)
            opened.seek(max(path.stat().st_size - PEEK, 0))
            text += opened.read(PEEK)
    except OSError:
        return False
    return (
        text.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")
        and b'"shapes"' not in text
        and (b'"images"' in text or (b'"categories"' in text and b'"annotations"' in text))
    )


def _json_files(folder: Path, depth: int) -> list[Path]:
    inside = entries(folder)
    files = [path for path in inside if path.suffix == ".json" and path.is_file()]
    for path in inside:
        if path.is_dir() and depth > 1 and not path.name.startswith("."):
            files += _json_files(path, depth - 1)
    return files


def _split_name(path: Path, root: Path) -> str:
    """What is left of a file's name without COCO's words, or the name of its folder."""
    name = "" if path.stem == _ROBOFLOW else _WORDS.sub("", path.stem)
    if name or path.parent == root:
        return name
    return path.parent.name if path.parent.name != "annotations" else ""


def _images_of(path: Path, name: str, root: Path) -> Path:
    """The first of the usual folders that holds images."""
    beside = path.parent.parent if path.parent.name == "annotations" else path.parent
    folders = [path.parent] if path.stem == _ROBOFLOW else []
    for top in dict.fromkeys((beside, root)):
        folders += [top / name, top / "images" / name] if name else []
        folders += [top / "images", top / "data", top / "JPEGImages", top]
    return next((folder for folder in folders if _holds_image(folder)), folders[0])


def _holds_image(folder: Path) -> bool:
    return folder.is_dir() and any(path.suffix.lower() in IMAGE_SUFFIXES for path in entries(folder))
