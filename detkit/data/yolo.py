"""Data sets that are laid out for YOLO."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated, Literal

from detkit.config.ranges import Fraction, NonNegative
from detkit.data.classes import Classes, Others, refuse_repeated_names
from detkit.data.exif import Exif
from detkit.data.images import MAX_MEGAPIXELS, Megapixels
from detkit.data.labels.form import LabelledImage
from detkit.data.labels.formats import sign_of
from detkit.data.labels.yolo import read_yolo
from detkit.data.listed import Entry, ListedDataset
from detkit.data.repairs import cut_to_image, every
from detkit.data.splits import Fractions, ids_of_split
from detkit.errors import ConfigError, DataError
from detkit.registry import DATASETS
from detkit.structures import Annotations


@DATASETS.register()
class YOLO(ListedDataset):
    """Images with a text file each, whose rows hold a class number and a box as shares of the image.

    A folder with data.yaml, as Ultralytics and Roboflow write it, has the splits that this file names. A folder without
    it needs a classes.txt and has the splits of its sub-folders. If one of VOC's names is missing, other splits replace
    it, with a warning, as in ``VOC``. With one split or none, the splits train, val, trainval, test and all are drawn
    from ``split_seed``.

    An image without a text file has no objects.

    Args:
        splits: names of splits, joined in this order.
        on_bad: "stop" raises an error at a broken image or label; "skip" leaves the image out.
        root: the folder, or its YAML file.
        classes: class names in label order; empty takes all, in the order of their numbers.
        other_classes: objects of other classes: "stop" raises an error; "ignore" keeps the image, but such objects
            count neither in training nor in evaluation; "drop" makes them background.
        draw_splits: whether to draw the splits from all images even if the folder has its own.
        val_fraction: share of the images in val if splits are drawn.
        test_fraction: share of the images in test if splits are drawn.
        split_seed: seed of the draw.
        exif: how to use EXIF's rotation: "ignore" uses stored pixels and boxes; "turn" turns images and boxes;
            "upright" turns images only, as the boxes are already those of the upright images.
        max_megapixels: an image of more million pixels counts as broken; it is not decoded.

    Raises:
        ConfigError: if ``root`` is empty, a class name is repeated, or no image is left to train on.
        DataError: if a folder, split, image or label file is missing or cannot be used.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> from detkit.visualize import write_image
        >>> root = Path(tempfile.mkdtemp())
        >>> write_image(root / "images" / "7.png", np.zeros((60, 90, 3), np.uint8))
        >>> for file, text in (("classes.txt", "cat"), ("labels/7.txt", "0 0.5 0.5 0.2 0.5")):
        ...     (root / file).parent.mkdir(exist_ok=True)
        ...     _ = (root / file).write_text(text)
        >>> yolo = YOLO(splits=("all",), on_bad="stop", root=str(root))
        >>> yolo.class_names, yolo[0].annotations.boxes.tensor.tolist()
        (('cat',), [[36.0, 15.0, 54.0, 45.0]])
    """

    located_by = ("ROOT",)

    def __init__(
        self,
        *,
        splits: tuple[str, ...],
        on_bad: Literal["stop", "skip"],
        root: str = "",
        classes: tuple[str, ...] = (),
        other_classes: Others = "stop",
        draw_splits: bool = False,
        val_fraction: Annotated[float, Fraction] = 0.2,
        test_fraction: Annotated[float, Fraction] = 0.2,
        split_seed: Annotated[int, NonNegative] = 0,
        exif: Exif = "ignore",
        max_megapixels: Annotated[float, Megapixels] = MAX_MEGAPIXELS,
    ) -> None:
        if not root:
            raise ConfigError("DATA.YOLO.ROOT is empty; set it to the folder that holds data.yaml, images and labels")
        fractions = Fractions("DATA.YOLO", val_fraction, test_fraction, split_seed)
        refuse_repeated_names(classes, "DATA.YOLO")
        if not Path(root).exists():
            raise DataError(
                f"data set YOLO: no folder {root} (looked in {Path(root).absolute()}); set DATA.YOLO.ROOT to the one "
                "that holds data.yaml, images and labels"
            )
        found = read_yolo(Path(root), classes)
        self.warnings = list(found.notes)
        self.class_names = tuple(classes) or tuple(found.class_names)
        self._classes = Classes(self.class_names, other_classes, "DATA.YOLO")
        images = {image.image_id: image for image in found.images}
        entries = []
        for split in splits:
            listed = {} if draw_splits else found.splits
            for image_id in ids_of_split("YOLO", split, listed, list(images), fractions, root, self.warnings):
                image = images[image_id]
                entries.append(Entry(image_id, image.path, functools.partial(self._annotate, image)))
        self._open(entries, on_bad, max_megapixels=max_megapixels, exif=exif)
        self.warnings += [f"{root}: {line}" for line in self._classes.summary()]

    @classmethod
    def recognises(cls, root: Path) -> str:
        """The sign by which a folder is YOLO's, or an empty string."""
        return sign_of("yolo", root)

    def _annotate(self, image: LabelledImage, size: tuple[int, int]) -> Annotations | None:
        if image.read is None:
            return None
        found = image.read(size)
        labels = every(functools.partial(self._classes.label, thing.name, thing.where) for thing in found.objects)
        kept = [(thing, label) for thing, label in zip(found.objects, labels) if label is not None]
        boxes, cut = cut_to_image([thing.box for thing, _ in kept], [thing.where for thing, _ in kept], size)
        self.warnings += cut
        return Annotations.of(boxes, [label for _, label in kept], area=[thing.area for thing, _ in kept])
