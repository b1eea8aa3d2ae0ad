"""Images sorted into a folder for each class."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated, Literal

from detkit.data.images import IMAGE_SUFFIXES, MAX_MEGAPIXELS, Megapixels
from detkit.data.listed import Entry, ListedDataset
from detkit.errors import ConfigError, DataError
from detkit.registry import DATASETS, nearest
from detkit.structures import Annotations, Boxes
from detkit.system.reading import MIB, bounded_text, entries, told

MAX_BYTES = 16 * MIB


@DATASETS.register()
class ImageFolders(ListedDataset):
    """Images sorted by class, in ImageNet's layout root/split/class/image. The one ground truth is the whole image.

    Images may also be in folders below that of their class. Labels are in the order of root/classes.txt, whose lines
    begin with the folder of a class; without this file they are in alphabetical order, over all splits. The image id is
    split/class/name without suffix.

    Args:
        splits: names of folders below the root, joined in this order.
        on_bad: "stop" raises an error at a broken image; "skip" leaves it out.
        root: the folder that holds the splits.
        max_megapixels: an image of more million pixels counts as broken; it is not decoded.

    Raises:
        ConfigError: if ``root`` is empty.
        DataError: if a folder or image is missing or cannot be used.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> from detkit.visualize import write_image
        >>> root = Path(tempfile.mkdtemp())
        >>> for name in ("cat", "dog"):
        ...     write_image(root / "train" / name / "1.png", np.zeros((40, 50, 3), np.uint8))
        >>> folders = ImageFolders(splits=("train",), on_bad="stop", root=str(root))
        >>> folders.class_names, folders[1].image_id, folders[1].size
        (('cat', 'dog'), 'train/dog/1', (40, 50))
    """

    def __init__(
        self,
        *,
        splits: tuple[str, ...],
        on_bad: Literal["stop", "skip"],
        root: str = "",
        max_megapixels: Annotated[float, Megapixels] = MAX_MEGAPIXELS,
    ) -> None:
        if not root:
            raise ConfigError(
                "PRETRAIN_DATA.ImageFolders.ROOT is empty; set it to the folder that holds train/ and val/, "
                "or set BACKBONE.WEIGHTS"
            )
        top = Path(root)
        if not top.is_dir():
            raise DataError(
                f"data set ImageFolders: no folder {top} (looked in {top.absolute()}); set "
                "PRETRAIN_DATA.ImageFolders.ROOT to a folder with the layout split/class/image, such as ImageNet's, or "
                "set BACKBONE.WEIGHTS"
            )
        self.warnings = []
        self.class_names = _classes(top)
        self._open(
            [entry for split in splits for entry in self._entries(top, split)], on_bad, max_megapixels=max_megapixels
        )

    def _entries(self, top: Path, split: str) -> list[Entry]:
        if split not in (known := [folder.name for folder in _folders(top)]):
            raise DataError(
                f"data set ImageFolders: no split {split!r} in {top}.{nearest(split, known)} "
                f"There is: {', '.join(known) or 'nothing'}. Set PRETRAIN_DATA.TRAIN and PRETRAIN_DATA.VAL to splits "
                "that are there"
            )
        # Many images share class and size; one value for all of them keeps ImageNet small in memory.
        whole = functools.cache(_whole_image)
        found = []
        others: list[Path] = []
        loose = [path for path in entries(top / split) if _is_image(path)]
        for folder in _folders(top / split):
            if folder.name not in self.class_names:
                raise DataError(
                    f"{folder}: its name is no class of {top / 'classes.txt'}.{nearest(folder.name, self.class_names)}"
                )
            label = self.class_names.index(folder.name)
            inside = sorted(folder.rglob("*"))
            paths = [path for path in inside if _is_image(path)]
            others += [path for path in inside if not _is_image(path) and not path.is_dir()]
            if not paths:
                raise DataError(
                    f"{folder}: no image in the folder of this class; put some there ({', '.join(IMAGE_SUFFIXES)}), or "
                    "remove the folder"
                )
            for path in paths:
                image_id = path.relative_to(top).with_suffix("").as_posix()
                found.append(Entry(image_id, path, functools.partial(whole, label)))
        for paths, what in ((loose, "images in no class's folder"), (others, "files without a suffix of images")):
            if paths:
                self.warnings.append(f"{top / split}: {len(paths)} {what} were left out, the first: {paths[0]}")
        return found


def _classes(top: Path) -> tuple[str, ...]:
    file = top / "classes.txt"
    if not file.exists() and not file.is_symlink():
        return tuple(sorted({folder.name for split in _folders(top) for folder in _folders(split)}))
    with told(file, "classes", "a class folder a line"):
        lines = bounded_text(file, MAX_BYTES).splitlines()
    names = tuple(line.split()[0] for line in lines if line.strip())
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{file}: class {repeated} stands there twice; each may stand there once")
    return names


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES


def _folders(top: Path) -> list[Path]:
    return [path for path in entries(top) if path.is_dir() and not path.name.startswith(".")]


def _whole_image(label: int, size: tuple[int, int]) -> Annotations:
    height, width = size
    return Annotations.of(Boxes.of([(0, 0, width, height)]), [label])
