"""Data sets in the layout and format of PASCAL VOC."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

from detkit.config.ranges import Fraction, NonNegative
from detkit.data.images import MAX_MEGAPIXELS, Megapixels
from detkit.data.listed import Entry, ListedDataset
from detkit.data.repairs import cut_to_image, every
from detkit.data.voc_files import drawn_splits, find_voc_files, listed_ids
from detkit.data.voc_xml import VOCAnnotation, VOCObject, read_voc_xml
from detkit.errors import ConfigError, DataError
from detkit.registry import DATASETS, nearest
from detkit.structures import Annotations


@DATASETS.register()
class VOC(ListedDataset):
    """Photographs with an XML file each, of any VOC year or labelled with a tool that writes the format.

    A folder with ImageSets/Main has the splits that are listed there. Any other (images and XML files side by side,
    or in images/ and annotations/) has the splits train, val, trainval, test and all, drawn from ``split_seed``.
    A split whose images have no annotation file at all, such as the test images of VOC2012, has no ground truths;
    otherwise each image needs its file, if only one without objects.

    Args:
        splits: names of splits, joined in this order.
        on_bad: stop at a broken image or annotation, or leave the image out.
        needs_images: False takes image sizes from the XML files and never looks for an image.
        root: the folder that holds Annotations, JPEGImages and ImageSets, or a flat folder.
        classes: class names in the order of their labels; empty takes all of the annotation files, sorted.
        other_classes: whether an object of none of ``classes`` is a mistake or is left out.
        val_fraction: share of a flat folder's images in val.
        test_fraction: share of a flat folder's images in test.
        split_seed: which images of a flat folder these are.
        max_megapixels: an image of more million pixels is broken; it is never decoded.

    Raises:
        ConfigError: no root, a class name twice, or nothing left to train on.
        DataError: a folder, split, image or annotation file that is missing or cannot be used.
    """

    def __init__(
        self,
        *,
        splits: tuple[str, ...],
        on_bad: Literal["stop", "skip"],
        needs_images: bool,
        root: str = "",
        classes: tuple[str, ...] = (),
        other_classes: Literal["stop", "drop"] = "stop",
        val_fraction: Annotated[float, Fraction] = 0.2,
        test_fraction: Annotated[float, Fraction] = 0.2,
        split_seed: Annotated[int, NonNegative] = 0,
        max_megapixels: Annotated[float, Megapixels] = MAX_MEGAPIXELS,
    ) -> None:
        if not root:
            raise ConfigError("DATA.VOC.ROOT is empty; set it to the folder that holds Annotations and JPEGImages")
        if val_fraction + test_fraction >= 1:
            raise ConfigError(
                f"DATA.VOC: VAL_FRACTION {val_fraction} and TEST_FRACTION {test_fraction} leave nothing to train on; "
                "their sum must be less than 1"
            )
        _refuse_repeated_names(classes)
        self.warnings = []
        self._drop_others = other_classes == "drop"
        self._dropped: Counter[str] = Counter()

        files = find_voc_files(Path(root), needs_images)
        images, xml = files.image_paths(), files.xml_paths()
        # Each file is read once, though the class names and the splits both need it.
        read = functools.cache(read_voc_xml)
        self.class_names = tuple(classes) or _found_classes(xml.values(), read, on_bad)
        if files.lists is None:
            drawn = drawn_splits(sorted({*images, *xml}), val_fraction, test_fraction, split_seed)
        entries = []
        for split in splits:
            ids = listed_ids(files.lists, split) if files.lists else _drawn_ids(drawn, split)
            labelled = any(image_id in xml for image_id in ids)
            for image_id in ids:
                image = images.get(image_id, files.images / f"{image_id}.jpg")
                file = xml.get(image_id, files.annotations / f"{image_id}.xml") if labelled else None
                declared = functools.partial(_declared_size, read, file)
                entries.append(Entry(image_id, image, functools.partial(self._annotate, read, file), declared))
        self._open(entries, on_bad, needs_images, max_megapixels)
        if self._dropped:
            counts = ", ".join(f"{count} {name}" for name, count in sorted(self._dropped.items()))
            self.warnings.append(f"{root}: objects of other classes left out: {counts}")

    def _annotate(
        self, read: Callable[[Path], VOCAnnotation], file: Path | None, size: tuple[int, int]
    ) -> Annotations | None:
        if file is None:
            return None
        annotation = read(file)
        self._compare_size(file, annotation.size, size)
        kept = every(functools.partial(self._is_kept, thing) for thing in annotation.objects)
        objects = list(itertools.compress(annotation.objects, kept))
        boxes, cut = cut_to_image([thing.box for thing in objects], [thing.where for thing in objects], size)
        self.warnings += cut
        return Annotations.of(
            boxes,
            [self.class_names.index(thing.name) for thing in objects],
            difficult=[thing.difficult for thing in objects],
        )

    def _is_kept(self, thing: VOCObject) -> bool:
        if thing.name in self.class_names:
            return True
        if not self._drop_others:
            raise DataError(
                f"{thing.where} is of no class in DATA.VOC.CLASSES.{nearest(thing.name, self.class_names)} "
                f"Expected one of {', '.join(self.class_names)}, or set DATA.VOC.OTHER_CLASSES: drop"
            )
        self._dropped[thing.name] += 1
        return False


def _declared_size(read: Callable[[Path], VOCAnnotation], file: Path | None) -> tuple[int, int] | None:
    return read(file).size if file is not None else None


def _refuse_repeated_names(classes: Sequence[str]) -> None:
    for name, count in Counter(classes).items():
        if count > 1 or not name.strip():
            raise ConfigError(f"DATA.VOC.CLASSES: {name!r} stands there {count} times; expected different names")


def _found_classes(
    files: Iterable[Path], read: Callable[[Path], VOCAnnotation], on_bad: Literal["stop", "skip"]
) -> tuple[str, ...]:
    """The classes of all annotation files, whatever the split, so that splits agree on the labels."""
    names: set[str] = set()
    for file in files:
        try:
            names.update(thing.name for thing in read(file).objects)
        except DataError:
            if on_bad == "stop":
                raise
    if not names:
        raise DataError(
            "data set VOC: no annotation file with an object to take class names from; set DATA.VOC.CLASSES"
        )
    return tuple(sorted(names))


def _drawn_ids(drawn: Mapping[str, list[str]], split: str) -> list[str]:
    if split not in drawn:
        raise DataError(
            f"data set VOC: no split {split!r} of a folder without ImageSets/Main.{nearest(split, drawn)} "
            f"There is: {', '.join(drawn)}"
        )
    return drawn[split]
