"""Data sets in the layout and format of PASCAL VOC."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Literal

from detkit.config.ranges import Fraction, NonNegative
from detkit.data.classes import Classes, Others, refuse_repeated_names
from detkit.data.exif import Exif
from detkit.data.images import MAX_MEGAPIXELS, Megapixels
from detkit.data.labels.formats import sign_of
from detkit.data.listed import Entry, ListedDataset
from detkit.data.other_formats import found_instead, other_annotations
from detkit.data.repairs import cut_to_image, every
from detkit.data.splits import Fractions, drawn_splits, no_split
from detkit.data.voc_files import VOCFiles, find_voc_files, ids_of_lists
from detkit.data.voc_xml import VOCAnnotation, read_voc_xml
from detkit.errors import ConfigError, DataError
from detkit.registry import DATASETS
from detkit.structures import Annotations


@DATASETS.register()
class VOC(ListedDataset):
    """Images with an XML file each: PASCAL VOC of any year, or images labelled by a tool that writes its format.

    A folder with ImageSets/Main has the splits that are listed there. If one of VOC's own names is missing, other
    splits replace it, with a warning: trainval replaces train, train and val (or train alone) replace trainval, and val
    replaces test.

    Any other folder (images and XML files side by side, or in images/ and annotations/) has the splits train, val,
    trainval, test and all, drawn from ``split_seed``.

    A split without any annotation file, such as the test images of VOC2012, has no ground truths. In all other splits
    each image needs its file, even if that has no objects.

    Args:
        splits: names of splits, joined in this order.
        on_bad: "stop" raises an error at a broken image or annotation; "skip" leaves the image out.
        needs_images: False takes image sizes from the XML files and reads no image.
        root: folder that holds Annotations, JPEGImages and ImageSets, or a flat folder.
        classes: class names in label order; empty takes all classes of the annotation files, sorted.
        other_classes: objects of other classes: "stop" raises an error; "ignore" keeps the image, but such objects
            count neither in training nor in evaluation; "drop" makes them background.
        draw_splits: whether to draw the splits from all images even if the folder lists its own.
        val_fraction: share of the images in val if splits are drawn.
        test_fraction: share of the images in test if splits are drawn.
        split_seed: seed of the draw.
        exif: how to use EXIF's rotation: "ignore" uses stored pixels and boxes; "turn" turns images and boxes;
            "upright" turns images only, as the boxes are already those of the upright images.
        max_megapixels: an image of more million pixels counts as broken; it is not decoded.

    Raises:
        ConfigError: if ``root`` is empty, a class name is repeated, or no image is left to train on.
        DataError: if a folder, split, image or annotation file is missing or cannot be used.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> root = Path(tempfile.mkdtemp())
        >>> size = "<size><width>90</width><height>60</height><depth>3</depth></size>"
        >>> box = "<bndbox><xmin>11</xmin><ymin>6</ymin><xmax>40</xmax><ymax>25</ymax></bndbox>"
        >>> xml = f"<annotation>{size}<object><name>cat</name>{box}</object></annotation>"
        >>> for file, text in (("Annotations/7.xml", xml), ("ImageSets/Main/test.txt", "7")):
        ...     (root / file).parent.mkdir(parents=True)
        ...     _ = (root / file).write_text(text)
        >>> voc = VOC(splits=("test",), on_bad="stop", needs_images=False, root=str(root))
        >>> voc.class_names, voc[0].annotations.boxes.tensor.tolist()
        (('cat',), [[10.0, 5.0, 40.0, 25.0]])
    """

    located_by = ("ROOT",)

    def __init__(
        self,
        *,
        splits: tuple[str, ...],
        on_bad: Literal["stop", "skip"],
        needs_images: bool,
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
            raise ConfigError("DATA.VOC.ROOT is empty; set it to the folder that holds Annotations and JPEGImages")
        Fractions("DATA.VOC", val_fraction, test_fraction, split_seed)
        refuse_repeated_names(classes, "DATA.VOC")
        self.warnings = []

        files = find_voc_files(Path(root), needs_images)
        images, xml = files.image_paths(), files.xml_paths()
        if not xml:
            _refuse_other_formats(files, Path(root), bool(classes))
        # Each file is read once, though the class names and the splits both need it.
        read = functools.cache(read_voc_xml)
        self.class_names = tuple(classes) or _found_classes(xml.values(), read, on_bad)
        self._classes = Classes(self.class_names, other_classes, "DATA.VOC")
        lists = None if draw_splits else files.lists
        if lists is None:
            drawn = drawn_splits(sorted({*images, *xml}), val_fraction, test_fraction, split_seed)
        entries = []
        for split in splits:
            ids = ids_of_lists(lists, split, self.warnings) if lists else _drawn_ids(drawn, split)
            labelled = any(image_id in xml for image_id in ids)
            for image_id in ids:
                image = images.get(image_id, files.images / f"{image_id}.jpg")
                file = xml.get(image_id, files.annotations / f"{image_id}.xml") if labelled else None
                declared = functools.partial(_declared_size, read, file)
                entries.append(Entry(image_id, image, functools.partial(self._annotate, read, file), declared))
        self._open(entries, on_bad, needs_images, max_megapixels, exif)
        self.warnings += [f"{root}: {line}" for line in self._classes.summary()]

    @classmethod
    def recognises(cls, root: Path) -> str:
        """The sign by which a folder is VOC's, or an empty string."""
        return sign_of("voc", root)

    def _annotate(
        self, read: Callable[[Path], VOCAnnotation], file: Path | None, size: tuple[int, int]
    ) -> Annotations | None:
        if file is None:
            return None
        annotation = read(file)
        self._compare_size(file, annotation.size, size)
        labels = every(functools.partial(self._classes.label, thing.name, thing.where) for thing in annotation.objects)
        objects = [thing for thing, label in zip(annotation.objects, labels) if label is not None]
        boxes, cut = cut_to_image([thing.box for thing in objects], [thing.where for thing in objects], size)
        self.warnings += cut
        truncated = [bool(thing.truncated) for thing in objects if thing.truncated is not None]
        return Annotations.of(
            boxes,
            [label for label in labels if label is not None],
            difficult=[thing.difficult for thing in objects],
            crowd=[thing.crowd for thing in objects],
            area=[thing.area for thing in objects],
            truncated=truncated if len(truncated) == len(objects) else None,
        )


def _declared_size(read: Callable[[Path], VOCAnnotation], file: Path | None) -> tuple[int, int] | None:
    return read(file).size if file is not None else None


def _refuse_other_formats(files: VOCFiles, root: Path, has_classes: bool) -> None:
    """Refuses a folder without any XML file, unless it is one of images alone whose classes are given.

    Raises:
        DataError: it says what lies there instead.
    """
    if not has_classes or (files.lists is None and other_annotations(root)):
        raise DataError(
            f"data set VOC: no XML file in {files.annotations.absolute()}; expected one in PASCAL VOC's format for "
            f"each image, with the image's name. {found_instead(root)}"
        )


def _found_classes(
    files: Iterable[Path], read: Callable[[Path], VOCAnnotation], on_bad: Literal["stop", "skip"]
) -> tuple[str, ...]:
    """The classes of all annotation files of all splits, so that splits agree on the labels."""
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
        raise no_split("VOC", split, "of a folder whose splits are drawn", list(drawn))
    return drawn[split]
